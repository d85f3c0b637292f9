"""Reads verdict files of any origin safely: JSON, JSON Lines, names and numbers in them."""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from montessori.artifacts.json_lines import (
    Line,
    is_json_file,
    line_error,
    number_lines,
    read_file_text,
    read_json_lines,
)
from montessori.artifacts.records.repeated_keys import load_json
from montessori.errors import MontessoriError

Row = Mapping[str, Any]
LARGEST = 1e15  # a number in a verdict file beyond it is nonsense


def read_value(path: Path) -> Any:
    """Read the value in a JSON file; the objects of JSON Lines and the rows of a table as a list.

    Raises MontessoriError if it is unreadable or malformed.
    """
    if not is_json_file(path):
        return [line.value for line in read_json_lines(path)]
    text = read_file_text(path)
    try:
        return load_json(text)
    except (ValueError, RecursionError) as error:  # RecursionError: too deeply nested
        if _starts_as_lines(text):
            return [row for _, row, _ in read_lines(path)]
        raise MontessoriError(
            f"not valid JSON ({error})", where=str(path), next="fix the file, or the path"
        ) from error


def _starts_as_lines(text: str) -> bool:
    """Whether the first line of a text is a JSON object, and another line follows."""
    lines = list(islice(number_lines(text), 2))
    try:
        return len(lines) > 1 and isinstance(json.loads(lines[0][1]), dict)
    except (ValueError, RecursionError):
        return False


def read_lines(path: Path) -> list[tuple[int, Row, str]]:
    """Read the objects of a JSON Lines file, with line numbers and texts, without empty lines.

    The objects of a JSON list are read as well, with their places from 1 instead of lines.
    Raises MontessoriError: an unreadable file, a line that is not a JSON object.
    """
    if is_json_file(path) and read_file_text(path).lstrip().startswith("["):
        lines = _read_list(path)
    else:
        lines = read_json_lines(path)
    for line in lines:
        if not isinstance(line.value, dict):
            raise line_error("not a JSON object", line.number, path)
    return [(line.number, line.value, line.text) for line in lines]


def _read_list(path: Path) -> list[Line]:
    value = read_value(path)
    rows = value if isinstance(value, list) else [value]
    return [Line(place, row, json.dumps(row)) for place, row in enumerate(rows, 1)]


def to_printable(name: Any) -> str:
    """A name from a file as text that is safe to print: "?" for each unprintable character."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(name))


def to_number(value: Any) -> float | None:
    """A JSON number as float; None for other values, infinities, NaN and numbers above LARGEST."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= LARGEST else None
