"""JSON Lines files of any origin: one reader for rows, eval items, benchmarks and verdicts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from montessori.errors import MontessoriError


class Line(NamedTuple):
    """A line of a JSON Lines file: its number from 1, its JSON value, its text."""

    number: int
    value: Any
    text: str


def read_file_text(path: Path) -> str:
    """The text of a UTF-8 file, without the byte-order mark that some editors put at the start.

    Line ends are "\\n". Raises MontessoriError when the file cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MontessoriError(
            f"cannot be read ({error})",
            where=str(path),
            expected="a file of UTF-8 text",
            next="fix the path, or save the file as UTF-8",
        ) from error


def number_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text that are not blank, with their numbers from 1.

    Not by `splitlines`, which also breaks at U+2028, U+0085 and their like: JSON allows them within
    a text.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def read_json_lines(path: Path) -> list[Line]:
    """The lines of a JSON Lines file, without blank ones.

    Raises MontessoriError, with file and line, for a file that cannot be read or a line that is not
    JSON.
    """
    return [parse_line(path, number, text) for number, text in number_lines(read_file_text(path))]


def parse_line(path: Path, number: int, text: str) -> Line:
    """A line of a JSON Lines file. Raises MontessoriError with file and line if it is not JSON."""
    try:
        return Line(number, json.loads(text), text)
    except (ValueError, RecursionError) as error:  # RecursionError: too deeply nested
        raise line_error(f"not valid JSON ({error})", number, path) from error


def line_error(what: str, number: int, path: Path) -> MontessoriError:
    """The error of one line of a JSON Lines file."""
    return MontessoriError(
        f"line {number}: {what}",
        where=str(path),
        expected="one JSON object a line",
        next=f"fix or remove line {number}",
    )
