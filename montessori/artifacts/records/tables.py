"""Records of Parquet and Arrow files."""

import io
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.records.content import ARROW, PARQUET, file_error


def read_table_bytes(data: bytes, path: Path) -> list[dict[str, Any]]:
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
    return to_objects(frame)


def to_objects(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as objects; column by column, in a third of the time of `to_dicts`."""
    columns = [frame[name].to_list() for name in frame.columns]
    names = frame.columns
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
