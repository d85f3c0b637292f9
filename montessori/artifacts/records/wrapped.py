"""One JSON object for a whole file: a list under a key, or columns in place of rows."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.artifacts.records.content import file_error

#: Fields that hold a list in a single row; as a column they are a list of lists.
LISTS = ("turns", "history", "choices", "messages", "conversations", "instances", "reference")


def unwrap(
    value: Mapping[str, Any], path: Path, fields: Collection[str], held_by: str | None
) -> Sequence[Any]:
    """The records of a file that is one object.

    They are the list under `held_by`; or else the only list of objects, rows by name or columns by
    name, as pandas writes both; or else the object itself. Raises MontessoriError where several
    lists may be meant.
    """
    if held_by is not None:
        return _take(value, held_by, path)
    known = set(fields) & value.keys()
    columns = _columns(value) if known else {}
    if columns:
        return [
            dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
        ]
    lists = [name for name, entry in value.items() if name not in fields and _is_list(entry)]
    if known or not lists:
        return _by_name(value, fields) or [value]
    if len(lists) > 1:
        counts = ", ".join(f"{name} ({len(value[name])})" for name in lists)
        raise file_error(
            f"the file holds several lists: {counts}", path, f"name one: reading.list: {lists[0]}"
        )
    return value[lists[0]]


def _take(value: Mapping[str, Any], key: str, path: Path) -> Sequence[Any]:
    if isinstance(value.get(key), list):
        return value[key]
    raise file_error(
        f"the file holds no list {key!r}; its keys are {', '.join(value)}", path, "fix reading.list"
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _columns(value: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Columns by name, each a list or an object by row; none if the object has another form."""
    columns = {}
    for name, entry in value.items():
        cells = list(entry.values()) if isinstance(entry, Mapping) else entry
        # A list of objects is the list of messages of a single row.
        if not isinstance(cells, list) or any(isinstance(cell, Mapping) for cell in cells):
            return {}
        if name in LISTS and not all(isinstance(cell, list) for cell in cells):
            return {}
        columns[name] = cells
    return columns if len(set(map(len, columns.values()))) == 1 else {}


def _by_name(value: Mapping[str, Any], fields: Collection[str]) -> list[Any]:
    """Rows by name or number, if every entry is a row."""
    rows = list(value.values())
    if rows and all(isinstance(row, Mapping) and set(fields) & row.keys() for row in rows):
        return rows
    return []
