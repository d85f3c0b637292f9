"""Records of Parquet and Arrow files, and of every other table that polars reads."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.records.content import ARROW, PARQUET, file_error


class Table:
    """The rows of a table, each an object that is made when it is asked for.

    columns: the cells of each column by its name. Who can do with them saves most of the time of
    reading, which the objects take.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.columns: Mapping[str, Sequence[Any]] = {
            column.name: column.to_list() for column in frame.get_columns()
        }
        self._height = frame.height

    def __len__(self) -> int:
        """The number of rows."""
        return self._height

    def __getitem__(self, place: int) -> dict[str, Any]:
        """The row at a place, counted from 0."""
        return {name: cells[place] for name, cells in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All rows in their order."""
        for cells in zip(*self.columns.values(), strict=True):
            yield dict(zip(self.columns, cells, strict=True))


def read_table_bytes(data: bytes, path: Path) -> Table:
    """The rows of a Parquet or Arrow file. Raises MontessoriError for a broken one."""
    try:
        if data.startswith(PARQUET):
            frame = pl.read_parquet(io.BytesIO(data))
        elif data.startswith(ARROW):
            frame = pl.read_ipc(io.BytesIO(data))
        else:
            frame = pl.read_ipc_stream(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).split("\n")[0]
        raise file_error(f"a broken table ({reason})", path, "fetch the file again") from error
    return Table(frame)
