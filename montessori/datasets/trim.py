"""A dataset cut to another one's response tokens, for comparisons at equal length."""

from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError


def trim_dataset(dataset: Path, like: Path, out: Path) -> dict[str, Any]:
    """Write the first rows of `dataset` that together hold no more response tokens than `like`.

    A dataset that is not longer stays whole, so cutting two datasets to each other leaves both with
    about the smaller number. Tokens are the writing teacher's. Returns the metrics: rows,
    response_tokens (mean of a row, as in synth), response_tokens_total, and rows and total of the
    whole dataset (..._before). Raises MontessoriError when a table is missing or misshapen, has
    rows whose tokens were not counted, or no row fits.
    """
    rows = _read_counted(dataset, out)
    limit = int(_read_counted(like, out)["response_tokens"].sum())
    kept = take_tokens(rows, limit)
    if kept.is_empty():
        raise MontessoriError(
            f"no row of {dataset.name} fits into {limit} response tokens",
            where=f"params.yaml, trims.{out.name}",
            next=f"compare with a larger dataset than {like.name}",
        )
    tokens = int(kept["response_tokens"].sum())
    metrics = {
        "rows": kept.height,
        "response_tokens": tokens / kept.height,
        "response_tokens_total": tokens,
        "rows_before": rows.height,
        "response_tokens_total_before": int(rows["response_tokens"].sum()),
    }
    with new_folder(out, {"dataset": dataset, "like": like}, metrics) as folder:
        write_table(kept, folder / "rows.parquet", PROBE)
    return metrics


def _read_counted(dataset: Path, out: Path) -> pl.DataFrame:
    """The rows of a dataset that all have a number of response tokens."""
    rows = read_table(dataset / "rows.parquet", PROBE)
    if uncounted := rows["response_tokens"].null_count():
        raise MontessoriError(
            f"{uncounted} rows of {dataset.name} have no number of response tokens",
            where=f"params.yaml, trims.{out.name}",
            expected="rows with a count of tokens: not those of a file of your own, or of a server "
            "without usage",
            next="trim other datasets, or make your file shorter by hand",
        )
    return rows


def take_tokens(rows: pl.DataFrame, limit: int) -> pl.DataFrame:
    """The longest start of a PROBE table whose `response_tokens` sum to at most `limit`."""
    return rows.filter(pl.col("response_tokens").cum_sum() <= limit)
