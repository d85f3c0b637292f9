"""The scores table of influence, and where its resumable parts begin and end."""

from collections.abc import Sequence

import polars as pl
import torch

from montessori.artifacts.schemas import ALL_REFERENCES, SCORES
from montessori.signals.influence.inputs import References


def prompt_bounds(prompts: Sequence[str]) -> list[tuple[int, int]]:
    """First row and row after the last of each run of equal prompt ids."""
    starts = [i for i, name in enumerate(prompts) if i == 0 or prompts[i - 1] != name]
    ends = [*starts[1:], len(prompts)] if starts else []
    return list(zip(starts, ends, strict=True))


def part_bounds(prompts: Sequence[str], size: int) -> list[tuple[int, int]]:
    """Parts of at least `size` rows, up to the end of a prompt; the last may be shorter.

    They depend only on the order of the rows, so any number of processes makes the same parts.
    """
    parts: list[tuple[int, int]] = []
    begin = 0
    for _, end in prompt_bounds(prompts):
        if end - begin >= size or end == len(prompts):
            parts.append((begin, end))
            begin = end
    return parts


def make_scores_table(
    rows: pl.DataFrame,
    values: torch.Tensor,
    references: References,
    shift: torch.Tensor,
    neutral: torch.Tensor,
) -> pl.DataFrame:
    """Per probe row its scores on the whole reference set, then on each skill.

    `values` are centred scores, fp64, shape (rows, groups); `shift` is added to them, `neutral` is
    the neutral score, both fp64, (groups,).
    """
    # Each reference is a weighted mean of the groups: weights are (groups,), fp64.
    weights = [(ALL_REFERENCES, references.weights)]
    units = torch.eye(len(references.names), dtype=torch.float64)
    for k, name in enumerate(references.names):
        if name is not None:
            weights.append((name, units[k]))
    numbered = rows.select("row_id", "prompt_id").with_row_index("row")
    tables = []
    for order, (name, mix) in enumerate(weights):
        table = numbered.with_columns(
            reference=pl.lit(name),
            score=pl.Series(((values + shift) @ mix).tolist(), dtype=pl.Float64),
            neutral=pl.lit(float(neutral @ mix)),
            order=pl.lit(order),
        )
        tables.append(table)
    return pl.concat(tables).sort("row", "order").select(list(SCORES))
