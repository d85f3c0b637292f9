"""The probe-file and dataset-file stages: rows of one's own in place of a teacher's."""

from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts import PROBE, new_folder, write_table
from montessori.sources.rows import read_rows
from montessori.sources.tables import probe_table


def probe_file(path: Path, out: Path) -> dict[str, Any]:
    """Write a file of one's own rows as probing data (PROBE schema); returns the stage's metrics.

    Raises MontessoriError for a missing, empty or malformed file.
    """
    return _write(probe_table(read_rows(path)), path, out)


def dataset_file(path: Path, out: Path) -> dict[str, Any]:
    """Write a file of one's own rows as training data: the same, less the repeated rows."""
    return _write(probe_table(read_rows(path)).filter(pl.col("dropped").is_null()), path, out)


def _write(table: pl.DataFrame, path: Path, out: Path) -> dict[str, Any]:
    facts = {
        "rows": table.height,
        "kept": table["dropped"].null_count(),
        "prompts": table["prompt_id"].n_unique(),
    }
    with new_folder(out, {"rows": path}, facts, libraries=("polars",)) as folder:
        write_table(table, folder / "rows.parquet", PROBE)
    return facts
