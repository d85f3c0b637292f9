"""Reads verdict files of any origin safely: JSON, JSON Lines, names and numbers in them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError

Row = Mapping[str, Any]
LARGEST = 1e15  # a number in a verdict file beyond it is nonsense


def read_value(path: Path) -> Any:
    """Read the value in a JSON file. Raises MontessoriError if it is unreadable or malformed."""
    try:
        return json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:  # RecursionError: too deeply nested
        raise MontessoriError(
            f"not valid JSON ({error})", where=str(path), next="fix the file, or the path"
        ) from error


def read_lines(path: Path) -> list[tuple[int, Row, str]]:
    """Read the objects of a JSON Lines file, with line numbers and texts, without empty lines.

    Raises MontessoriError: an unreadable file, a line that is not a JSON object.
    """
    rows = []
    # Not by splitlines, because texts may contain other line separators, such as U+2028.
    for line, text in enumerate(_read_text(path).split("\n"), 1):
        if text.strip():
            rows.append((line, _parse_object(text, line, path), text))
    return rows


def to_printable(name: Any) -> str:
    """A name from a file as text that is safe to print: "?" for each unprintable character."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(name))


def to_number(value: Any) -> float | None:
    """A JSON number as float; None for other values, infinities, NaN and numbers above LARGEST."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= LARGEST else None


def wrong_line(what: str, line: int, path: Path) -> MontessoriError:
    """The error of one line of a JSON Lines file."""
    return MontessoriError(
        f"line {line}: {what}",
        where=str(path),
        expected="one JSON object a line, as published",
        next=f"fix or remove line {line}",
    )


def _read_text(path: Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MontessoriError(
            f"cannot be read ({error})", where=str(path), next="fix the path"
        ) from error


def _parse_object(text: str, line: int, path: Path) -> Row:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong_line(f"not valid JSON ({error})", line, path) from error
    if not isinstance(row, dict):
        raise wrong_line("not a JSON object", line, path)
    return row
