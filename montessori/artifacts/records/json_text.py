"""Records in JSON text: a list, one object a line, objects one after another, a wrapped list."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import orjson

from montessori.artifacts.records.content import decode_text, file_error
from montessori.artifacts.records.json_values import parse_json, reason_of
from montessori.artifacts.records.repeated_keys import may_repeat_keys
from montessori.artifacts.records.wrapped import unwrap
from montessori.errors import MontessoriError

_LOOKED_AT = 20  # lines in which an object is looked for where the first line is broken
Placed = tuple[str, Sequence[int], Sequence[Any]]  # unit, numbers, values


def read_json_text(data: bytes, path: Path, fields: Collection[str], held_by: str | None) -> Placed:
    """Unit, numbers and values of the records in JSON text, whichever of its forms it has.

    Raises MontessoriError, with the line, for a list or an object that is no JSON.
    """
    numbers, lines = _number_lines(data)
    first = parse_json(lines[0]) if lines else None
    if len(lines) > 1 and not isinstance(first, Exception):
        return "line", numbers, _parse_lines(data, lines)
    whole = first if len(lines) < 2 else parse_json(data)
    if whole is None:
        return "line", [], []
    if not isinstance(whole, Exception):
        return _rows(whole, path, fields, held_by, numbers[0])
    if any(map(_is_object, lines[1:_LOOKED_AT])) and not data.lstrip().startswith(b"["):
        # Only the first of several lines is broken.
        return "line", numbers, _parse_lines(data, lines)
    if isinstance(whole, json.JSONDecodeError) and whole.msg == "Extra data":
        return _read_sequence(data, path)
    raise _syntax_error(whole, data, path)


def _number_lines(data: bytes) -> tuple[Sequence[int], list[bytes]]:
    """The numbers, from 1, and the texts of the lines that are not blank."""
    # Not by `splitlines`, which for texts also breaks at U+2028 and its like: JSON allows them
    # within a text.
    lines = data.removesuffix(b"\n").split(b"\n")
    if all(lines) and not any(map(bytes.isspace, lines)):
        return range(1, len(lines) + 1), lines
    numbers = [n for n, line in enumerate(lines, 1) if line and not line.isspace()]
    return numbers, [lines[n - 1] for n in numbers]


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and not isinstance(parse_json(line), Exception)


def _parse_lines(data: bytes, lines: Sequence[bytes]) -> list[Any]:
    try:
        values = list(map(orjson.loads, lines))
    except ValueError:
        return list(map(parse_json, lines))
    return list(map(parse_json, lines)) if may_repeat_keys(data, values) else values


def _rows(
    value: Any, path: Path, fields: Collection[str], held_by: str | None, first_line: int
) -> Placed:
    rows = unwrap(value, path, fields, held_by) if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise file_error("a JSON value, but no list of rows", path)
    if rows and rows[0] is value:
        return "line", [first_line], rows
    return "row", range(1, len(rows) + 1), rows


def _syntax_error(error: Exception, data: bytes, path: Path) -> MontessoriError:
    decode_text(data, path)
    if not isinstance(error, json.JSONDecodeError):
        return file_error(f"not valid JSON ({error})", path)
    return file_error(f"line {error.lineno}: not valid JSON ({reason_of(error)})", path)


def _read_sequence(data: bytes, path: Path) -> Placed:
    """Values one after another, each over several lines, as `jq` prints them."""
    text, place = decode_text(data, path), 0
    numbers, values = [], []
    decoder = json.JSONDecoder()
    while rest := len(text[place:].lstrip()):
        place = len(text) - rest
        numbers.append(text.count("\n", 0, place) + 1)
        if text[place] == ",":
            raise file_error(
                f"line {numbers[-1]}: not valid JSON (a comma between objects)",
                path,
                "put [ and ] around the objects, or take the commas behind them out",
            )
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else numbers[-1]
            raise file_error(f"line {line}: not valid JSON ({reason_of(error)})", path) from error
        values.append(parse_json(text[place:end].encode()))
        place = end
    return "line", numbers, values
