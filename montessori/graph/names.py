"""Names of rows: what DVC makes a stage of, and every file system a file."""

import re
import unicodedata
from typing import Any

from montessori.graph.edit import YAML_WORDS

FORM = "letters, digits, '-' and '_', 80 at most, starting with a letter or a digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_UNDECOMPOSED = str.maketrans({"ß": "ss", "æ": "ae", "Æ": "Ae", "ø": "o", "Ø": "O", "ł": "l"})


def find_name_problem(name: Any, section: str) -> str | None:
    """Why a row of a section cannot have a name, and another one for it; None if it can.

    DVC makes no stage of a row whose name YAML reads as a number: a text of digits has quotes. It
    takes a dot for a level of params.yaml. Files carry the name, so it keeps to letters that every
    file system spells alike.
    """
    if isinstance(name, str) and _NAME.fullmatch(name) and name.lower() not in YAML_WORDS:
        return None
    why, other = f"a name has {FORM}", f"call it {suggest_name(name, section)}"
    if not isinstance(name, str):
        why = f"YAML reads this name as {_kind(name)}, of which DVC makes no stage"
        if find_name_problem(str(name), section) is None:
            other = f"put it in quotes, or {other}"
    elif name.lower() in YAML_WORDS:
        why = "older readers of YAML take this name for true, false or null"
    elif "." in name:
        why += "; DVC takes a dot for a level of params.yaml"
    return f"{why}; {other}"


def suggest_name(name: Any, section: str) -> str:
    """A name that a row can have, as near to `name` as can be: `v1-5` for `v1.5`."""
    if isinstance(name, str) and _NAME.fullmatch(name) and name.lower() not in YAML_WORDS:
        return name
    plain = unicodedata.normalize("NFKD", str(name).translate(_UNDECOMPOSED))
    words = re.findall(r"[A-Za-z0-9_]+", plain.encode("ascii", "ignore").decode())
    joined = "-".join(words).strip("_-")
    number = not isinstance(name, str) or not joined
    if number or joined.lower() in YAML_WORDS:
        # probes -> probe, harnesses -> harness, as the stages are called
        singular = re.sub(r"(?<=ss)es$|s$", "", section).replace("_", "-")
        joined = f"{singular}-{joined}".strip("-")
    return joined[:80].rstrip("-_")


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "null"}
    return kinds.get(type(value), f"a {type(value).__name__}")
