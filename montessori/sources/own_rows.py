"""The probe-file and dataset-file stages: rows of one's own in place of a teacher's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import new_folder, write_table
from montessori.artifacts.schemas import PROBE
from montessori.filters.contamination import require_clean
from montessori.filters.eval_items import is_eval_item, read_evals
from montessori.filters.settings import DecontaminationParams
from montessori.sources.load import load_rows
from montessori.sources.rows.row import Row
from montessori.sources.rows.settings import ReadingParams
from montessori.sources.tables import probe_table


def probe_file(
    path: Path,
    evals: Path,
    out: Path,
    decontamination: DecontaminationParams,
    reading: ReadingParams | None = None,
) -> dict[str, Any]:
    """Write a file of one's own rows as probing data (PROBE schema); returns the stage's metrics.

    Rows that are or hold an item of the folder `evals` are dropped. Raises MontessoriError for a
    missing, empty or malformed file (`reading` may drop malformed rows), and for one with more
    such rows than the limit.
    """
    read = load_rows(path, reading=reading)
    table = _drop_eval_items(read.rows, path, evals, decontamination)
    return _write_table(table, path, evals, out) | read.facts


def dataset_file(
    path: Path,
    evals: Path,
    out: Path,
    decontamination: DecontaminationParams,
    reading: ReadingParams | None = None,
) -> dict[str, Any]:
    """Write a file of one's own rows as training data: the same, less the rows dropped."""
    read = load_rows(path, reading=reading)
    table = _drop_eval_items(read.rows, path, evals, decontamination)
    return _write_table(table, path, evals, out, only_kept=True) | read.facts


def _drop_eval_items(
    rows: Sequence[Row], path: Path, evals: Path, decontamination: DecontaminationParams
) -> pl.DataFrame:
    items, keys = read_evals(evals, decontamination.ngram)

    def leaks(row: Row) -> bool:
        return is_eval_item(row.messages, items, keys)

    table = probe_table(rows, leaks)
    matches = int((table["dropped"] == "eval item").sum())
    require_clean(matches, table.height, decontamination.limit, str(path))
    return table


def _write_table(
    table: pl.DataFrame, path: Path, evals: Path, out: Path, only_kept: bool = False
) -> dict[str, Any]:
    reasons = table["dropped"].drop_nulls().value_counts().sort("dropped").iter_rows()
    if only_kept:
        table = table.filter(pl.col("dropped").is_null())
    facts = {
        "rows": table.height,
        "kept": table["dropped"].null_count(),
        "prompts": table["prompt_id"].n_unique(),
    }
    with new_folder(out, {"rows": path, "evals": evals}, facts, libraries=("polars",)) as folder:
        write_table(table, folder / "rows.parquet", PROBE)
    return facts | {"dropped": dict(reasons)}
