"""A dataset of two: the first rows of one, and all of the other, as LLM2LLM adds to its start."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.graph.limits import Rows


@dataclass(frozen=True)
class JoinParams:
    """Section `join`: how large a joined dataset is."""

    rows: Rows


def join_datasets(first: Path, second: Path, out: Path, settings: JoinParams) -> dict[str, Any]:
    """Write the first rows of `first`, then all rows of `second`: `settings.rows` together.

    A row of `first` whose instruction is in `second` is skipped. Returns metrics. Raises
    MontessoriError when the two cannot make exactly that many rows.
    """
    head = read_table(first / "rows.parquet", PROBE)
    tail = read_table(second / "rows.parquet", PROBE)
    new = head.filter(~pl.col("instruction").is_in(tail["instruction"].to_list()))
    wanted = settings.rows - tail.height
    if not 0 <= wanted <= new.height:
        raise MontessoriError(
            f"{new.height} new rows of {first.name} and {tail.height} of {second.name} do not make "
            f"{settings.rows} rows",
            where=f"params.yaml, joins.{out.name}",
            expected=f"a second dataset of at most {settings.rows} rows (join.rows), and enough "
            "rows in the first",
            next="give the second fewer rows (datasets.NAME.synth: {rows: N}), then `dvc repro`",
        )
    rows = pl.concat([new.head(wanted), tail])
    with new_folder(out, {"first": first, "second": second}, {"rows": rows.height}) as folder:
        write_table(rows, folder / "rows.parquet", PROBE)
    return {"rows": rows.height, "of_first": wanted, "of_second": tail.height}
