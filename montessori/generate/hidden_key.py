"""Texts of a server without the key that it was sent, which careless servers repeat."""

import json
import re
from typing import Any
from urllib.parse import quote

#: Placeholders of servers that want any key (EMPTY, ollama, lm-studio) are shorter; what is written
#: in answers may hold such a word without meaning a key.
SECRET = 12
HIDDEN = "[key]"


def hide_key(text: str, key: str | None) -> str:
    """Text without `key`, in any case of letters, as it is or as URLs and JSON write it.

    A key shorter than SECRET may be a common word: it is hidden as a whole word, in its own case.
    """
    if not key:
        return text
    forms = {key, quote(key, safe=""), json.dumps(key)[1:-1]}
    longest_first = sorted(forms, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest_first))
    if len(key) < SECRET:
        return re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", HIDDEN, text)
    return re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)


def hide_key_in(value: Any, key: str | None) -> Any:
    """JSON of an answer without a key that is long enough to be a secret, in all of its texts."""
    if key is None or len(key) < SECRET:
        return value
    if isinstance(value, str):
        return hide_key(value, key)
    if isinstance(value, list):
        return [hide_key_in(one, key) for one in value]
    if isinstance(value, dict):
        return {hide_key(name, key): hide_key_in(one, key) for name, one in value.items()}
    return value
