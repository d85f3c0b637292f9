"""JSON objects in which a key stands twice: readers keep its last value and drop the others."""

import json
import json.scanner
import math
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NESTED = {dict, list}
_KEY_END = re.compile(rb'"\s*:')
_BACKSLASH = ord("\\")
_BLOCK = 2**18  # bytes that are looked at together: they stay in the processor's cache
Codes = NDArray[np.uint8]


class _RepeatedKey(Exception):
    """A key that stands twice in an object that begins at a place of the text, once it is known."""

    place: int | None = None


def load_json(text: str) -> Any:
    """The value of a JSON text, as `json.loads` reads it, without an object that repeats a key.

    Raises json.JSONDecodeError, at the beginning of the object, for a key that stands twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_make_object)
    except _RepeatedKey as error:
        raise json.JSONDecodeError(str(error), text, _find_object(text)) from None


def may_repeat_keys(data: bytes, values: Sequence[Any]) -> bool:
    """Whether JSON text has more keys than the values that orjson read from it.

    A reader that tells keys that stand twice takes several times as long as orjson, which keeps
    the last; but each one that it dropped leaves its end in the text, a quote and a colon. Some
    ends may be counted that are none, never too few: what `load_json` then reads is exact.
    """
    keys = _count_keys(values)
    if len(data) < _BLOCK:
        return len(_KEY_END.findall(data)) != keys
    codes = np.frombuffer(data, np.uint8)
    starts = range(0, len(data), _BLOCK)
    if keys == sum(_count_plainly(codes[start : start + _BLOCK + 1]) for start in starts):
        return False
    return keys != sum(_count_key_ends(codes, start, start + _BLOCK) for start in starts)


def _count_plainly(codes: Codes) -> float:
    """The number of colons right behind a quote; NaN where any stands behind a blank."""
    colons, before = codes[1:] == ord(":"), codes[:-1]
    if (colons & (before <= ord(" "))).any():
        return math.nan
    return int(np.count_nonzero(colons & (before == ord('"'))))


def _count_key_ends(codes: Codes, start: int, end: int) -> int:
    """The number of colons in a block behind a quote that no backslash makes a part of a text."""
    before = np.flatnonzero(codes[start:end] == ord(":")) + (start - 1)
    while (blank := codes[before] <= ord(" ")).any():
        before = before - blank
    quotes = before[codes[before] == ord('"')]
    escaped = (codes[quotes - 1] == _BACKSLASH) & (codes[quotes - 2] != _BACKSLASH)
    return len(quotes) - int(np.count_nonzero(escaped))


def _count_keys(values: Sequence[Any]) -> int:
    count = 0
    while not _NESTED.isdisjoint(kinds := set(map(type, values))):
        objects = values if kinds == {dict} else [each for each in values if type(each) is dict]
        lists = [each for each in values if type(each) is list] if list in kinds else []
        count += sum(map(len, objects))
        entries = chain(chain.from_iterable(map(dict.values, objects)), chain.from_iterable(lists))
        values = [entry for entry in entries if type(entry) in _NESTED]
    return count


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKey(f"the key {repeated!r} twice in one object")
    return value


def _find_object(text: str) -> int:
    """The place of the object that repeats a key. Only Python's own scanner, a slow one, has it."""
    decoder: Any = json.JSONDecoder(object_pairs_hook=_make_object)
    parse_object = decoder.parse_object

    def parse(start: tuple[str, int], *rest: Any) -> Any:
        try:
            return parse_object(start, *rest)
        except _RepeatedKey as error:
            error.place = start[1] - 1 if error.place is None else error.place
            raise

    decoder.parse_object = parse
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    try:
        decoder.decode(text)
    except _RepeatedKey as error:
        return error.place or 0
    return 0
