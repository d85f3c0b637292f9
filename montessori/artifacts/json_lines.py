"""Records of eval items, benchmarks and verdicts, each with its line: files of any origin."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from montessori.artifacts.records.content import decode_text, read_content
from montessori.artifacts.records.json_values import reason_of
from montessori.artifacts.records.read import read_records
from montessori.errors import MontessoriError

#: Names of fields by which items, questions and verdicts are known.
FIELDS = (
    "item_id",
    "question_id",
    "question",
    "query",
    "instruction",
    "turns",
    "generator_1",
    "preference",
    "judge",
    "name",
)


class Line(NamedTuple):
    """A line of a JSON Lines file: its number from 1, its JSON value, its text."""

    number: int
    value: Any
    text: str


def read_file_text(path: Path) -> str:
    """The text of a file, unpacked if it is gzip, without a byte-order mark.

    Line ends are "\n". Raises MontessoriError, with the line of a byte that is not UTF-8, when the
    file cannot be read.
    """
    text = decode_text(read_content(path), path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_json_file(path: Path) -> bool:
    """Whether a file begins like JSON, or is empty; else it is a table, or no file of records."""
    return read_content(path).lstrip()[:1] in (b"{", b"[", b"")


def number_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a text that are not blank, with their numbers from 1.

    Not by `splitlines`, which also breaks at U+2028, U+0085 and their like: JSON allows them within
    a text.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def read_json_lines(path: Path) -> list[Line]:
    """The records of a file, without blank lines: JSON Lines, or any other form of records.

    Where a record has no line of its own its number is that of its row, and its text is JSON.
    Raises MontessoriError, with file and line, for a file that cannot be read or a line that is not
    JSON.
    """
    records = read_records(path, FIELDS, numbers=True)
    lines = []
    for number, value in zip(records.numbers, records.values, strict=True):
        if isinstance(value, Exception):
            raise line_error(f"not valid JSON ({reason_of(value)})", number, path)
        lines.append(Line(number, value, json.dumps(value, ensure_ascii=False, default=str)))
    return lines


def line_error(what: str, number: int, path: Path) -> MontessoriError:
    """The error of one line of a JSON Lines file."""
    return MontessoriError(
        f"line {number}: {what}",
        where=str(path),
        expected="one JSON object a line",
        next=f"fix or remove line {number}",
    )
