"""The probe rows that a warm-up did not use."""

from pathlib import Path

import polars as pl

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.train.adamw import read_warmup_rows


def read_unseen_rows(warmup: Path, probe: Path) -> pl.DataFrame:
    """Kept rows of the probe that did not take part in warm-up, in table order."""
    frame = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    left = frame.filter(~pl.col("row_id").is_in(read_warmup_rows(warmup)))
    if left.height < 2:
        raise MontessoriError(
            f"{left.height} of {frame.height} kept rows are left after warm-up",
            where=str(probe / "rows.parquet"),
            expected="at least 2 rows to score",
            next="lower warmup.rows or raise probe.prompts in params.yaml, then `dvc repro`",
        )
    return left
