"""The metrics of influence scores: distribution, sign, and the variance between skills."""

from collections.abc import Sequence
from typing import Any

import polars as pl

BINS = 40
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def summarise_scores(centred: Sequence[float], skills: Sequence[str | None]) -> dict[str, Any]:
    """Metrics of centred scores (nats of reference loss) and the skills of their rows.

    Rows without a skill count in the distribution, and as a group of their own ("other") between
    skills. If no row has a skill, the part about skills is missing.
    """
    score = pl.col("score")
    frame = pl.DataFrame({"score": list(centred)}, schema={"score": pl.Float64})
    shape = frame.select(
        share_positive=(score > 0).mean(), mean=score.mean(), std=score.std(ddof=0)
    )
    quantiles = frame.select(score.quantile(q, "linear").alias(f"{q:g}") for q in QUANTILES)
    facts: dict[str, Any] = {
        "rows": frame.height,
        **shape.row(0, named=True),
        "quantiles": quantiles.row(0, named=True),
    }
    if any(skill is not None for skill in skills):
        names = pl.Series("skill", list(skills), dtype=pl.String)
        facts |= _by_skill(frame.with_columns(names.fill_null("other")))
    return facts


def _by_skill(frame: pl.DataFrame) -> dict[str, Any]:
    """Mean and rows per skill, and the one-way decomposition of the scores' variance."""
    score = pl.col("score")
    groups = (
        frame.group_by("skill", maintain_order=True)
        .agg(score.mean().alias("mean"), pl.len())
        .sort("skill")
    )
    grand: float = frame.select(score.mean()).item()
    total: float = frame.select(((score - grand) ** 2).sum()).item()
    of_groups = pl.col("len") * (pl.col("mean") - grand) ** 2
    between: float = groups.select(of_groups.sum()).item()
    share = between / total if total > 0 else 0.0
    skills = {}
    for skill, mean, rows in groups.iter_rows():
        skills[skill] = {"mean": mean, "rows": rows}
    return {
        "skills": skills,
        "variance_between_skills": share,
        "variance_within_skills": 1.0 - share,
    }


def make_histogram(centred: Sequence[float], bins: int = BINS) -> list[tuple[float, int, str]]:
    """Bars (middle of the bin, rows, "better" or "worse"); an edge of a bin is at zero.

    Bins are equally wide over the range of the scores and zero.
    """
    low, high = min(0.0, *centred), max(0.0, *centred)
    width = (high - low) / bins or 1.0
    below = round(-low / width)  # bins below zero; the grid is shifted so that zero is an edge
    counts: dict[int, int] = {}
    for score in centred:
        index = int(score // width)
        counts[index] = counts.get(index, 0) + 1
    bars = []
    for i in range(min(-below, *counts), max(counts) + 1):
        bars.append(((i + 0.5) * width, counts.get(i, 0), "worse" if i < 0 else "better"))
    return bars
