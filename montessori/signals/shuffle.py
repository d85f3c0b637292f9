"""The placebo: a table of scores whose labels are permuted within each prompt."""

import random
from pathlib import Path

import polars as pl

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import SCORES
from montessori.seeding import seed_of

KIND = "shuffle"


def shuffle_scores(scores: Path, out: Path, seed: int) -> None:
    """Write `out`/scores.parquet: the table in the folder `scores`, permuted within prompts."""
    frame = permute_scores(read_table(scores / "scores.parquet", SCORES), seed)
    with new_folder(out, {"scores": scores}, {"rows": frame.height}) as folder:
        write_table(frame, folder / "scores.parquet", SCORES)


def permute_scores(scores: pl.DataFrame, seed: int) -> pl.DataFrame:
    """A scores table in which the rows of each prompt have swapped their scores.

    A row takes over score and neutral of one row of its prompt, for every reference, so that as
    many rows as before are above and below neutral in each prompt. The permutation of a prompt
    depends only on `seed` and the prompt.
    """
    giver: dict[str, str] = {}  # row -> the row whose scores it gets
    for (prompt,), group in scores.group_by(["prompt_id"], maintain_order=True):
        rows = group["row_id"].unique(maintain_order=True).to_list()
        drawn = rows.copy()
        random.Random(seed_of(seed, KIND, str(prompt))).shuffle(drawn)
        giver |= dict(zip(rows, drawn, strict=True))
    given = scores.select(pl.col("row_id").alias("giver"), "reference", "score", "neutral")
    takers = scores.select("row_id", "prompt_id", "reference").with_columns(
        pl.col("row_id").replace_strict(giver, return_dtype=pl.String).alias("giver")
    )
    joined = takers.join(given, on=["giver", "reference"], how="left", maintain_order="left")
    return joined.select(list(SCORES))
