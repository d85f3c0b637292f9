"""Why a server refuses a request, in its own words, whatever form it gives them.

OpenAI: {"error": {"message": ...}}; FastAPI: {"detail": [{"loc": ..., "msg": ...}]}; TGI:
{"error": text}; Mistral: {"message": text or such a detail}; proxies: a page of HTML, plain text.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SHOWN = 300  # characters of a reason in an error
READ = 100_000  # characters of a body in which a reason is looked for
#: Keys that hold a reason; what a server repeats of the request (`input`) is none.
_KEYS = (
    *("error", "errors", "message", "detail", "details", "msg", "reason", "title", "description"),
    *("error_message", "metadata", "raw", "innererror", "cause"),
)
_CODES = ("param", "code")
_LONG = re.compile(
    r"context.?length|context.?window|context.?size|maximum context|too many (input |prompt )?"
    r"tokens|(prompt|input|request|messages?)\b.{0,60}\b(is |are )?too (long|large)"
    r"|exceeds? the (available|maximum|model)|longer than the (model|maximum|context)"
    r"|`?inputs?`? tokens? \+|input token count|string_above_max_length|max_model_len"
    r"|(reduce|shorten) (the length of )?(the |your )(prompt|messages|input)",
    re.IGNORECASE | re.DOTALL,
)
_FILTER = re.compile(
    r"content.?(filter|policy|management|moderation)|moderation|responsible.?ai|guardrail"
    r"|data_inspection_failed|\bflagged\b|safety (system|filter|polic|setting|reason)"
    r"|usage polic|prohibited.?content|inappropriate content",
    re.IGNORECASE,
)


def read_reason(body: str) -> str:
    """The reason in the body of an answer, on one line, escaped; "no reason" for an empty one."""
    body = body[:READ]
    try:
        value = json.loads(body)
        found = [value] if isinstance(value, str) else list(dict.fromkeys(_collect(value)))
    except (ValueError, RecursionError):
        return _clean(_strip_tags(body)) or "no reason"
    if isinstance(value, str):
        return _clean(value) or "no reason"
    return _clean("; ".join(found)) or _clean(body)


def cut_reason(reason: str) -> str:
    """A reason as an error shows it: long ones are cut."""
    return reason if len(reason) <= SHOWN else reason[:SHOWN] + " ..."


def is_too_long(reason: str) -> bool:
    """Whether prompt and answer do not fit the model's context."""
    return _LONG.search(reason) is not None


def is_filtered(reason: str) -> bool:
    """Whether a provider does not want this prompt answered."""
    return _FILTER.search(reason) is not None


def find_names(reason: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of `names` of settings that a reason names, as whole words."""
    return tuple(
        name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", reason)
    )


def _collect(value: Any) -> Iterator[str]:
    """The texts that explain an error."""
    if isinstance(value, str):
        yield from _open_text(value)
    elif isinstance(value, list):
        for one in value[:10]:
            yield from _collect(one)
    elif isinstance(value, Mapping):
        place = value.get("loc")
        if isinstance(place, list) and "msg" in value:
            yield f"{'.'.join(map(str, place))}: {value['msg']}"
            return
        for key in _KEYS:
            yield from _collect(value.get(key))
        for key in _CODES:
            if isinstance(value.get(key), str):
                yield f"{key} {value[key]}"


def _open_text(text: str) -> Iterator[str]:
    """A text or, where it is JSON of another server behind this one, what explains that."""
    if text.lstrip().startswith("{"):
        try:
            yield from _collect(json.loads(text))
            return
        except ValueError:
            pass
    yield _strip_tags(text) if "<html" in text[:200].lower() else text


def _strip_tags(text: str) -> str:
    text = re.sub(r"(?is)<(script|style|head)\b.*?</\1>", " ", text) if "<body" in text else text
    return html.unescape(re.sub(r"(?s)<!--.*?-->|<[a-zA-Z!/][^>]*>", " ", text))


def _clean(text: str) -> str:
    """One line, with escapes for what cannot be shown."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
