"""The commonest row, one question and one answer that are texts: read by columns.

Rows with the same fields are looked at together, a column at a time, which takes half of the time
of a row at a time; of a table no objects are made.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from montessori.artifacts.records.tables import Table
from montessori.sources.rows.fields import (
    ADDED,
    ANSWERED,
    ASKED,
    FIELDS,
    LABELS,
    NOT_TEXT,
    OPTIONAL,
    Tally,
    is_empty,
)
from montessori.sources.rows.messages import JOIN
from montessori.sources.rows.row import Row

#: Fields that only `forms` reads.
_SPECIAL = {*FIELDS, *OPTIONAL, *LABELS}.union(*NOT_TEXT.values())
#: Beginnings of texts that are none: "" and a list of messages, written as JSON.
_NO_TEXTS = ("", "[{")
Columns = Mapping[str, Sequence[Any]]


class Fields(NamedTuple):
    """Which fields make the row, and which do not enter it."""

    asked: str
    answered: str
    added: str | None
    unused: tuple[str, ...]


def read_plain_rows(
    values: Sequence[Any] | Table, wheres: Sequence[str], tally: Tally
) -> list[Row | None]:
    """The row of each plain object as `forms` would read it, None for each other one.

    wheres: the file and the line of each object.
    """
    rows: list[Row | None] = [None] * len(values)
    for places, columns in _group_alike(values):
        fields = _find_fields(columns)
        if fields is None:
            continue
        found = _read_columns(columns, fields, [wheres[place] for place in places])
        for place, row in zip(places, found, strict=True):
            rows[place] = row
        _count_unused(columns, fields.unused, found, tally)
    return rows


def _group_alike(values: Sequence[Any] | Table) -> Iterator[tuple[Sequence[int], Columns]]:
    """The places and the columns of all objects that have the same fields in the same order."""
    if isinstance(values, Table):
        yield range(len(values)), values.columns
        return
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        if isinstance(value, dict):
            alike[tuple(value)].append(place)
    for names, places in alike.items():
        objects = [values[place] for place in places]
        yield places, {name: list(map(itemgetter(name), objects)) for name in names}


def _find_fields(names: Collection[str]) -> Fields | None:
    asked = [name for name in ASKED if name in names]
    answered = [name for name in ANSWERED if name in names]
    added = [name for name in ADDED if name in names]
    if len(asked) != 1 or len(answered) != 1 or len(added) > 1:
        return None
    used = {*asked, *answered, *added}
    unused = tuple(name for name in names if name not in used)
    if not _SPECIAL.isdisjoint(unused):
        return None
    return Fields(asked[0], answered[0], added[0] if added else None, unused)


def _read_columns(columns: Columns, fields: Fields, wheres: Sequence[str]) -> list[Row | None]:
    questions = _find_texts(columns[fields.asked])
    answers = _find_texts(columns[fields.answered])
    if fields.added is not None:
        questions = _add_texts(questions, columns[fields.added])
    return [
        None
        if question is None or answer is None
        else Row((question,), (answer,), None, None, None, None, where)
        for question, answer, where in zip(questions, answers, wheres, strict=True)
    ]


def _find_texts(cells: Sequence[Any]) -> list[str | None]:
    """The cells that are texts as they stand, None in place of the others."""
    return [
        cell if isinstance(cell, str) and cell[:2] not in _NO_TEXTS and not cell.isspace() else None
        for cell in cells
    ]


def _add_texts(questions: Sequence[str | None], cells: Sequence[Any]) -> list[str | None]:
    """Questions with the text in the cell of each below it, if it has one; None as above."""
    added = []
    for question, cell, text in zip(questions, cells, _find_texts(cells), strict=True):
        if cell is None or cell == "":
            added.append(question)
        else:
            added.append(f"{question}{JOIN}{text}" if question and text else None)
    return added


def _count_unused(
    columns: Columns, names: Sequence[str], rows: Sequence[Row | None], tally: Tally
) -> None:
    """Count the cells of fields that do not enter a row that was read."""
    for name in names:
        cells = zip(rows, columns[name], strict=True)
        count = sum(row is not None and not is_empty(cell) for row, cell in cells)
        if count:
            tally.unused[name] += count
