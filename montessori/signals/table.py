"""The scores table of a signal without a neutral score of its own, and its metrics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import new_folder, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, SCORES
from montessori.errors import MontessoriError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def write_scores(
    rows: pl.DataFrame,
    values: Sequence[float],
    out: Path,
    inputs: Mapping[str, Path],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write `out`/scores.parquet: `values` (higher is better) of the PROBE rows `rows`.

    The neutral score is null: pairs compare the rows of a prompt with each other. Returns the
    metrics of `describe_scores`. Raises MontessoriError when no two rows of a prompt differ; or no
    two rows at all, where every prompt has one row, as in a file of your own.
    """
    table = rows.select(
        "row_id",
        "prompt_id",
        pl.lit(ALL_REFERENCES).alias("reference"),
        pl.Series("score", values, dtype=pl.Float64),
        pl.lit(None, dtype=pl.Float64).alias("neutral"),
    )
    metrics = describe_scores(table, rows["skill"].to_list())
    if metrics["values"] == 1 or 0 < metrics["prompts_tied"] == metrics["prompts_with_several"]:
        raise _all_tied(metrics, out)
    with new_folder(out, inputs, {"rows": table.height, **facts}) as folder:
        write_table(table, folder / "scores.parquet", SCORES)
    return metrics


def describe_scores(table: pl.DataFrame, skills: Sequence[str | None]) -> dict[str, Any]:
    """Metrics of a SCORES table with one reference, and the mean by skill where rows have one.

    `prompts_tied` counts prompts whose several rows all have one score; they give no pair.
    """
    score = pl.col("score")
    by_prompt = table.group_by("prompt_id", maintain_order=True).agg(
        score.n_unique().alias("values"), pl.len()
    )
    several = by_prompt.filter(pl.col("len") > 1)
    shape = table.select(mean=score.mean(), std=score.std(ddof=0))
    quantiles = table.select(score.quantile(q, "linear").alias(f"{q:g}") for q in QUANTILES)
    facts: dict[str, Any] = {
        "rows": table.height,
        "prompts": by_prompt.height,
        "prompts_with_several": several.height,
        "prompts_tied": several.filter(pl.col("values") == 1).height,
        "values": table["score"].n_unique(),
        **shape.row(0, named=True),
        "quantiles": quantiles.row(0, named=True),
    }
    if any(skill is not None for skill in skills):
        named = table.with_columns(pl.Series("skill", skills, dtype=pl.String).fill_null("other"))
        means = named.group_by("skill", maintain_order=True).agg(score.mean()).sort("skill")
        facts["skills"] = dict(means.iter_rows())
    return facts


def _all_tied(metrics: Mapping[str, Any], out: Path) -> MontessoriError:
    return MontessoriError(
        f"the signal ties everything: in all {metrics['prompts']} prompts the rows have one score "
        f"({metrics['values']} different scores in the whole table)",
        where=f"scores for {out}",
        expected="rows of a prompt with different scores, at least in some prompts",
        next="use another signal, more samples of a prompt (instruction.samples) or, for a judge, "
        "a template with finer marks, judge_signal.samples above 1, or a stronger model",
    )
