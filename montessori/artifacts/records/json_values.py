"""JSON values: what orjson reads, what only Python's reader takes, and half characters repaired."""

import json
import re
from typing import Any

import orjson

from montessori.artifacts.halves import mend_text
from montessori.artifacts.records.repeated_keys import load_json, may_repeat_keys

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # the escape of half a character, or of a whole one's


class Repaired(dict[str, Any]):
    """An object in which a half character was replaced by U+FFFD."""


def parse_json(data: bytes) -> Any:
    """The value of a JSON text, or the error that says why there is none.

    The error is returned, not raised, so that one message can list all malformed rows. Half of a
    surrogate pair ("\\ud83d" alone) is valid JSON but no text that can be written: U+FFFD stands
    in its place, and an object with one is a `Repaired`.
    """
    try:
        value = orjson.loads(data)
        if not may_repeat_keys(data, [value]):
            return value
    except ValueError:
        pass
    # NaN, half characters, deep nesting and a byte-order mark, which orjson refuses; its messages
    # lack the reason too. And keys that stand twice, which it does not tell.
    try:
        value = load_json(data.decode("utf-8-sig"))
    # Deeply nested JSON ends in a RecursionError.
    except (ValueError, RecursionError) as error:
        return error
    return _mend(value) if _HALF.search(data) else value


def reason_of(error: Exception) -> str:
    """What is wrong with a JSON text, without the line: the column, where there is one."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    if error.doc[: error.pos].rstrip().endswith(",") and error.doc[error.pos :][:1] in ("]", "}"):
        return "a comma after the last entry"
    return f"{error.msg}: column {error.colno}"


def _mend(value: Any) -> Any:
    if isinstance(value, list):
        return [_mend(entry) for entry in value]
    if isinstance(value, str):
        return mend_text(value)[0]
    if not isinstance(value, dict):
        return value
    repaired = {_mend(name): _mend(entry) for name, entry in value.items()}
    return value if repaired == value else Repaired(repaired)
