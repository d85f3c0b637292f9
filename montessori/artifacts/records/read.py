"""Records of a file of any form: JSON, JSON Lines, CSV, TSV, Parquet, Arrow, or gzip of these."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.artifacts.records.content import (
    ARROW,
    ARROW_STREAM,
    PARQUET,
    file_error,
    read_content,
)
from montessori.artifacts.records.json_text import read_json_text
from montessori.artifacts.records.json_values import Repaired, parse_json
from montessori.artifacts.records.separated import read_separated
from montessori.artifacts.records.tables import Table, read_table_bytes

_HEAD = 4096  # bytes that tell the form


@dataclass(frozen=True)
class Records:
    """The records of a file and where each stands.

    unit: "line" or "row"; numbers: of each record, from 1; values: objects, or the error that says
    why there is none, or whatever else stood there.
    """

    unit: str
    numbers: Sequence[int]
    values: Sequence[Any] | Table

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Pairs of place ("line 3") and value."""
        for number, value in zip(self.numbers, self.values, strict=True):
            yield f"{self.unit} {number}", value

    @property
    def repaired(self) -> int:
        """Number of records in which a half character was replaced; a table cannot hold any."""
        if isinstance(self.values, Table):
            return 0
        return list(map(type, self.values)).count(Repaired)


def read_records(
    path: Path, fields: Collection[str] = (), held_by: str | None = None, numbers: bool = False
) -> Records:
    """The records of a file, whose form is told by its content, never by its name.

    fields: names of fields by which a record is known from an object that holds a list of them,
    and a table from other text. held_by: the key of that list, needed where there are several.
    numbers: whether numbers in CSV and TSV are read as such, or as the texts that they are.
    Raises MontessoriError, with the line where there is one, for a file that cannot be read.
    """
    data = read_content(path)
    if data.startswith((PARQUET, ARROW, ARROW_STREAM)):
        values = read_table_bytes(data, path)
        return Records("row", range(1, len(values) + 1), values)
    if b"\0" in data[:_HEAD].partition(b"\n")[0]:
        raise file_error(
            "line 1: zero bytes, as in a binary file or in UTF-16 and UTF-32 without a mark",
            path,
            "save the file as UTF-8",
        )
    if data[:_HEAD].lstrip()[:1] in (b"[", b"{", b"") or _is_json(data[:_HEAD]):
        return Records(*read_json_text(data, path, fields, held_by))
    return Records(*read_separated(data, path, fields, numbers))


def _is_json(head: bytes) -> bool:
    """Whether the second line is an object where the first is none: a slip in JSON Lines."""
    first, _, rest = head.lstrip().partition(b"\n")
    return rest.lstrip()[:1] == b"{" and not isinstance(parse_json(first), Exception)
