"""A dataset of the best rows of a probe, by a signal; the teacher stays as it is.

`top` is the bootstrap ablation of Montessori-Instruct (arXiv 2410.14208, section 5): the most
influential rows. `best-of-n` takes the best rows of each prompt.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, PROBE, SCORES
from montessori.errors import MontessoriError
from montessori.filters.eval_items import is_eval_item, read_evals
from montessori.filters.settings import DecontaminationParams
from montessori.graph.limits import Rows
from montessori.writing.measures import count_skills, mean_known


@dataclass(frozen=True)
class SelectParams:
    """Section `select`: how many rows, and which."""

    rows: Rows
    rule: Literal["top", "best-of-n"]
    per_prompt: Rows


def select_rows(
    probe: Path,
    scores: Path,
    evals: Path,
    out: Path,
    settings: SelectParams,
    decontamination: DecontaminationParams,
) -> dict[str, Any]:
    """Write exactly `settings.rows` rows of the probe to `out`, in its order; no eval item.

    Returns metrics. Raises MontessoriError when scores and probe do not belong together, all
    scores are equal, or too few rows are left.
    """
    rows = read_table(probe / "rows.parquet", PROBE)
    scored = _join_scores(rows, read_table(scores / "scores.parquet", SCORES), scores)
    clean = scored.filter(~_find_eval_items(scored, evals, decontamination.ngram))
    chosen = take_best(clean, settings)
    if chosen.height < settings.rows:
        raise _too_few_rows(chosen.height, clean, settings, probe)
    inputs = {"probe": probe, "scores": scores, "evals": evals}
    with new_folder(out, inputs, {"rows": chosen.height}) as folder:
        write_table(chosen.select(list(PROBE)), folder / "rows.parquet", PROBE)
    return {
        "rows": chosen.height,
        "of_rows": clean.height,
        "eval_items": scored.height - clean.height,
        "score_mean": float(chosen.select(pl.col("score").mean()).item()),
        "score_mean_of_all": float(clean.select(pl.col("score").mean()).item()),
        "response_tokens": mean_known(chosen, "response_tokens"),
        "skills": count_skills(chosen),
    }


def take_best(scored: pl.DataFrame, settings: SelectParams) -> pl.DataFrame:
    """At most `settings.rows` rows of a table with column `score`, in the table's order.

    Of equal scores the earlier rows win. With "best-of-n" the first prompts give
    `settings.per_prompt` rows each.
    """
    placed = scored.with_row_index("place")
    ranked = placed.sort("score", "place", descending=[True, False])
    if settings.rule == "best-of-n":
        rank = pl.int_range(pl.len()).over("prompt_id")  # within the prompt, from 0 for the best
        ranked = ranked.filter(rank < settings.per_prompt).sort("place")
    return ranked.head(settings.rows).sort("place").drop("place")


def _join_scores(rows: pl.DataFrame, scores: pl.DataFrame, where: Path) -> pl.DataFrame:
    """The kept rows of the probe that have a score on the whole reference."""
    whole = scores.filter(pl.col("reference") == ALL_REFERENCES).select("row_id", "score")
    kept = rows.filter(pl.col("dropped").is_null())
    joined = kept.join(whole, on="row_id", how="inner", maintain_order="left")
    if joined.height < whole.height or whole.height == 0:
        raise MontessoriError(
            f"{whole.height - joined.height} of {whole.height} scored rows are not kept rows of "
            "the probe",
            where=str(where / "scores.parquet"),
            expected="a scores table of this probe's rows, with reference 'all'",
            next="name scores and their probe in params.yaml, section selections",
        )
    if joined["score"].n_unique() == 1:
        raise MontessoriError(
            f"all {joined.height} scores are equal, so no row is better than another",
            where=str(where / "scores.parquet"),
            expected="scores that differ",
            next="use another signal in params.yaml, section selections",
        )
    return joined


def _find_eval_items(rows: pl.DataFrame, evals: Path, ngram: int) -> pl.Series:
    """Whether each row asks or answers with an eval item."""
    items, keys = read_evals(evals, ngram)
    matches = [is_eval_item(messages, items, keys) for messages in rows["messages"]]
    return pl.Series(matches, dtype=pl.Boolean)


def _too_few_rows(
    chosen: int, clean: pl.DataFrame, settings: SelectParams, probe: Path
) -> MontessoriError:
    return MontessoriError(
        f"{chosen} of {settings.rows} rows: the probe has {clean.height} scored rows of "
        f"{clean['prompt_id'].n_unique()} prompts",
        where=str(probe / "rows.parquet"),
        expected=f"{settings.rows} rows by rule {settings.rule}",
        next="give the selection a larger probe (probes.NAME.probe: {prompts: N} in params.yaml), "
        "or lower select.rows",
    )
