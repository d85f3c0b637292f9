"""Rows of dialogue from a file of one's own, in any form: bytes, then objects, then rows."""

import gc
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from montessori.artifacts.records.read import Records, read_records
from montessori.errors import MontessoriError
from montessori.sources.rows.fields import FIELDS, LeftOut, Malformed, Tally
from montessori.sources.rows.forms import FORMS, read_object
from montessori.sources.rows.plain import read_plain_rows
from montessori.sources.rows.row import Row
from montessori.sources.rows.settings import Column, ReadingParams

SHOWN = 10  # problems listed in one error


class RowsRead(NamedTuple):
    """Rows, and what else is to be said of their file: counts by name, none of them zero."""

    rows: list[Row]
    facts: dict[str, Any]


def read_rows(path: Path, reading: ReadingParams | None = None, answered: bool = True) -> RowsRead:
    """The rows of a file in any form that montessori.artifacts.records knows.

    answered: whether a row needs an answer to its last turn. The facts count fields that are not
    used, numbers taken as texts, half characters replaced by U+FFFD, answers marked as bad and, if
    `reading` drops them, malformed rows. Raises one MontessoriError with the places of all
    malformed rows (the first ten), or if the file cannot be read or has no rows.
    """
    reading = reading or ReadingParams()
    fields = {*FIELDS, *reading.columns.values()}
    tally = Tally()
    with _paused_collector():
        records = read_records(path, fields, reading.list or None)
        tally.counts["half_characters"] = records.repaired
        return _collect(records, str(path), reading, answered, tally)


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Hold back Python's search for circles, which takes half of the time of many new objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_turns(path: Path, reading: ReadingParams | None = None) -> list[tuple[str, ...]]:
    """The user turns of each row of a file; a row may be an instruction without a response.

    Raises MontessoriError as `read_rows` does.
    """
    return [row.turns for row in read_rows(path, reading, answered=False).rows]


def rows_of(records: Records, source: str) -> RowsRead:
    """Rows of records. Raises MontessoriError with all malformed rows, or if there are none."""
    return _collect(records, source, ReadingParams(), True, Tally())


def _collect(
    records: Records, source: str, reading: ReadingParams, answered: bool, tally: Tally
) -> RowsRead:
    values = _rename(records.values, reading.columns) if reading.columns else records.values
    wheres = [f"{source}, {records.unit} {number}" for number in records.numbers]
    rows: list[Row] = []
    problems = []
    for place, row in enumerate(read_plain_rows(values, wheres, tally)):
        if row is not None:
            rows.append(row)
            continue
        try:
            rows += read_object(values[place], wheres[place], answered, tally)
        except Malformed as problem:
            problems.append(f"{records.unit} {records.numbers[place]}: {problem}")
        except LeftOut as reason:
            tally.left_out[str(reason)] += 1
    if problems and (reading.malformed == "error" or not rows):
        raise _malformed_error(problems, source)
    if not rows:
        raise _rows_error("the file has no rows", source)
    tally.counts["malformed"] = len(problems)
    return RowsRead(rows, tally.facts)


def _rename(values: Iterable[Any], columns: Mapping[Column, str]) -> list[Any]:
    """Objects with our names for the columns that have others."""
    return [
        _rename_fields(value, columns) if isinstance(value, Mapping) else value for value in values
    ]


def _rename_fields(value: Mapping[str, Any], columns: Mapping[Column, str]) -> dict[str, Any]:
    named = {ours: value[theirs] for ours, theirs in columns.items() if theirs in value}
    taken = {columns[ours] for ours in named}
    others = {name: entry for name, entry in value.items() if name not in taken}
    # A field of our name that another one stands in for is counted as unused.
    for name in named.keys() & others.keys():
        others[f"{name} of the file"] = others.pop(name)
    return others | named


def _malformed_error(problems: list[str], source: str) -> MontessoriError:
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    count = "1 malformed row" if len(problems) == 1 else f"{len(problems)} malformed rows"
    return _rows_error(
        f"{count}:\n  " + "\n  ".join(problems[:SHOWN]) + more,
        source,
        "; or reading.malformed: drop in params.yaml, which leaves such rows out and counts them",
    )


def _rows_error(what: str, where: str, otherwise: str = "") -> MontessoriError:
    return MontessoriError(
        what, where=where, expected=FORMS, next=f"fix {where}, then dvc repro{otherwise}"
    )
