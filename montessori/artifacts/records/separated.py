"""Records of CSV and TSV text: a header, then a row a record, quotes as in RFC 4180."""

import csv
import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.records.content import READ, decode_text, file_error
from montessori.artifacts.records.tables import Table

_SEPARATORS = "\t,;|"
#: A line of JSON Lines, which no cell can hold: within quotes they would be doubled.
_OBJECT = re.compile(rb"\n\{\s*\"[^\"]")
_PLACE, _BLANK = "\0place", "\0blank"  # columns of our own: no header has such names

# The module's own limit for a cell, 131,072 characters, is less than a long answer has.
csv.field_size_limit(2**31 - 1)


def read_separated(
    data: bytes, path: Path, fields: Collection[str], numbers: bool
) -> tuple[str, Sequence[int], Sequence[Any] | Table]:
    """Unit, numbers and values of the records of a text with a header of column names.

    Empty cells are None. Raises MontessoriError unless the first line has one of `fields`.
    """
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # line ends of old Macs
    if found := _OBJECT.search(data):
        line = data.count(b"\n", 0, found.start()) + 2
        raise file_error(
            f"line {line}: a JSON object in a table of columns", path, "write one form into a file"
        )
    head = decode_text(data.split(b"\n", 1)[0], path)
    separator = max(_SEPARATORS, key=head.count)
    names = next(csv.reader([head.strip("\r")], delimiter=separator), [])
    if fields and not set(fields) & set(names):
        raise _header_error(names, head, path, fields)
    if len(set(names)) < len(names):
        raise file_error("line 1: two columns have the same name", path, "rename one of them")
    frame = _read_by_polars(data, separator, numbers)
    if frame is not None:
        return "row", frame[_PLACE].to_list(), Table(frame.drop(_PLACE))
    return _read_by_line(decode_text(data, path), names, separator, path)


def _read_by_polars(data: bytes, separator: str, numbers: bool) -> pl.DataFrame | None:
    """The rows, or None where a cell or a row does not fit; polars does not say which."""
    try:
        frame = pl.read_csv(
            io.BytesIO(data),
            separator=separator,
            infer_schema=numbers,
            infer_schema_length=None,  # all rows decide on a column's type
        )
    except pl.exceptions.PolarsError:
        return None
    # A blank line comes as a row without any value.
    blank = pl.all_horizontal(pl.all().is_null())
    return (
        frame.select(pl.all(), blank.alias(_BLANK))
        .with_row_index(_PLACE, 1)
        .filter(~pl.col(_BLANK))
        .drop(_BLANK)
    )


def _read_by_line(
    text: str, names: Sequence[str], separator: str, path: Path
) -> tuple[str, list[int], list[Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    numbers, values = [], []
    try:
        next(reader, None)
        start = reader.line_num + 1
        for cells in reader:
            if any(cells):
                numbers.append(start)
                values.append(_make_record(cells, names))
            start = reader.line_num + 1
    except csv.Error as error:
        raise file_error(f"line {start}: not CSV ({error})", path) from error
    return "line", numbers, values


def _make_record(cells: Sequence[str], names: Sequence[str]) -> Any:
    if len(cells) > len(names):
        return ValueError(f"{len(cells)} cells in a table of {len(names)} columns")
    return dict.fromkeys(names) | {
        name: cell or None for name, cell in zip(names, cells, strict=False)
    }


def _header_error(names: Sequence[str], head: str, path: Path, fields: Collection[str]) -> Any:
    if len(names) > 1:
        return file_error(
            f"line 1: none of the columns {', '.join(names)[:200]} is known",
            path,
            "name the columns: reading.columns: {instruction: ..., response: ...}",
        )
    return file_error(
        f"line 1: neither JSON nor a table of columns: {head[:60]!r}; read: {READ}",
        path,
        "save it in one of these forms (docs/how-to/own-rows.md)",
    )
