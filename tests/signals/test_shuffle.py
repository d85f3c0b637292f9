"""The placebo: scores moved between the rows of a prompt.

What would break: the placebo keeps part of the signal, or changes how many rows are above neutral,
so it controls for nothing.
"""

import polars as pl

from montessori.artifacts.schemas import SCORES
from montessori.signals.shuffle import permute_scores


def table(prompts: int = 30, samples: int = 4) -> pl.DataFrame:
    """Scores on two references; the second is ten times the first."""
    rows = [
        (f"r{p}-{s}", f"p{p}", name, factor * (10.0 * p + s - 1.5), 10.0 * p * factor)
        for p in range(prompts)
        for s in range(samples)
        for name, factor in (("all", 1.0), ("sums", 10.0))
    ]
    return pl.DataFrame(rows, schema=dict(SCORES), orient="row")


def sides(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows above neutral, by prompt and reference."""
    above = (pl.col("score") > pl.col("neutral")).sum()
    return frame.group_by("prompt_id", "reference", maintain_order=True).agg(above)


def test_rows_stay_and_labels_move_within_their_prompt():
    before, after = table(), permute_scores(table(), 0)
    assert after.select("row_id", "prompt_id", "reference").equals(
        before.select("row_id", "prompt_id", "reference")
    )
    assert not after["score"].equals(before["score"])
    for frame in (before, after):
        frame.sort("prompt_id", "reference", "score")
    assert sides(after).equals(sides(before))
    assert sorted(after["score"]) == sorted(before["score"])


def test_all_references_move_alike():
    after = permute_scores(table(), 0)
    whole, sums = (after.filter(pl.col("reference") == name)["score"] for name in ("all", "sums"))
    assert (whole * 10).to_list() == sums.to_list()


def test_the_permutation_depends_on_the_seed_and_the_prompt_alone():
    assert permute_scores(table(), 3).equals(permute_scores(table(), 3))
    assert not permute_scores(table(), 3).equals(permute_scores(table(), 4))
    few = permute_scores(table().filter(pl.col("prompt_id") == "p7"), 3)
    assert few.equals(permute_scores(table(), 3).filter(pl.col("prompt_id") == "p7"))
