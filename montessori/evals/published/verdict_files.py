"""Reading of verdict files that others wrote: JSON, JSON Lines, and the names in them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError

Row = Mapping[str, Any]
LARGEST = 1e15  # beyond it a number in a verdict file is nonsense


def read_value(path: Path) -> Any:
    """The value in a JSON file. Raises MontessoriError if it cannot be read or is malformed."""
    try:
        return json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise MontessoriError(
            f"not valid JSON ({error})", where=str(path), next="fix the file, or the path"
        ) from error


def read_lines(path: Path) -> list[tuple[int, Row, str]]:
    """The objects of a JSON Lines file with their line numbers and texts; empty lines are left out.

    Raises MontessoriError: an unreadable file, a line that is not a JSON object.
    """
    lines = _read_text(path).split("\n")  # not splitlines: texts may hold other ends of line
    return [
        (n, _parse_object(text, n, path), text) for n, text in enumerate(lines, 1) if text.strip()
    ]


def to_printable(name: Any) -> str:
    """A name from a file as text that is safe to print: "?" for what is not printable."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(name))


def to_number(value: Any) -> float | None:
    """A JSON number as float; None for anything else, infinities, NaN and absurd sizes too."""
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
