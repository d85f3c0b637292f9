"""ARTE's preference pairs: questions against questions, rationales against rationales, mixed.

Source: arXiv 2406.19227, section 3.3. Question pairs take the chosen text from the best quarter of
a task's questions and the rejected one from the worst. Rationale pairs take the best and the worst
rationale of one question; their prompt is the naive one, so that the special prompt is erased.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import polars as pl

from montessori.artifacts.files import new_folder, read_table, row_id, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, DRAFTS, PAIRS, SCORES
from montessori.errors import MontessoriError
from montessori.graph.limits import Count, Whole, Within
from montessori.models.lineage import writer_hashes
from montessori.seeding import seed_of

#: Decimals by which scores, shares of a few hundred answers, are compared.
DIGITS = 9


@dataclass(frozen=True)
class AlignParams:
    """Section `align`: which of ARTE's preference pairs are made."""

    share: Annotated[float, Within("(0, 0.5]"), "share of questions"]
    question_pairs: Annotated[Whole, "pairs"]
    rationale_pairs: Annotated[Whole, "pairs"]
    min_pairs: Annotated[Count, "pairs"]


def write_arte_pairs(
    drafts: Path, scores: Path, out: Path, settings: AlignParams, seed: int
) -> dict[str, Any]:
    """Write `out`/pairs.parquet from drafts and their in-context scores; return metrics.

    Raises MontessoriError when they do not belong together or pairs are fewer than
    `settings.min_pairs`.
    """
    scored = join(
        read_table(drafts / "rows.parquet", DRAFTS),
        read_table(scores / "scores.parquet", SCORES),
        scores,
    )
    questions = question_pairs(scored, settings, seed)
    rationales = rationale_pairs(scored, settings, seed)
    pairs = pl.concat([questions, rationales])
    metrics = _metrics(scored, questions, rationales)
    if pairs.height < settings.min_pairs:
        raise _too_few(metrics, settings, scores)
    facts = {"pairs": pairs.height, "question_pairs": questions.height, **writer_hashes(drafts)}
    with new_folder(out, {"drafts": drafts, "scores": scores}, facts) as folder:
        write_table(pairs, folder / "pairs.parquet", PAIRS)
    return metrics


def join(drafts: pl.DataFrame, scores: pl.DataFrame, where: Path) -> pl.DataFrame:
    """DRAFTS rows with `score`, s(q, r). Raises MontessoriError unless each row has one."""
    whole = scores.filter(pl.col("reference") == ALL_REFERENCES).select("row_id", "score")
    scored = drafts.join(whole, on="row_id", how="left", maintain_order="left")
    missing = scored["score"].null_count()
    if missing or scored.is_empty():
        raise MontessoriError(
            f"{missing} of {drafts.height} drafts have no score",
            where=str(where),
            expected="the in-context scores of these very drafts",
            next="give the alignment the icl whose rows are its drafts, in params.yaml",
        )
    return scored


def of_questions(scored: pl.DataFrame) -> pl.DataFrame:
    """One row per question, in order: its columns and `score`, the mean over its rationales.

    Rounded, because means of the same shares differ in their last bits, which is no preference.
    """
    return scored.group_by("question_id", maintain_order=True).agg(
        pl.col("skill", "prompt", "prompt_id", "raw").first(), pl.col("score").mean().round(DIGITS)
    )


def question_pairs(scored: pl.DataFrame, settings: AlignParams, seed: int) -> pl.DataFrame:
    """PAIRS of questions: of each task `settings.question_pairs`, drawn without repetition.

    Candidates are all of the top share over all of the bottom share with unequal scores.
    """
    records: list[dict[str, Any]] = []
    for (task,), group in of_questions(scored).group_by(["skill"], maintain_order=True):
        ranked = group.sort("score", descending=True, maintain_order=True).to_dicts()
        size = max(1, int(settings.share * len(ranked)))
        crossed = [
            (high, low)
            for high in ranked[:size]
            for low in ranked[-size:]
            if high["score"] > low["score"] and high["raw"] != low["raw"]
        ]
        random.Random(seed_of(seed, "question-pairs", str(task))).shuffle(crossed)
        records += [
            _pair(high, low, high["prompt"], high["prompt_id"], "raw", "question_id")
            for high, low in crossed[: settings.question_pairs]
        ]
    return pl.DataFrame(records, schema=PAIRS)


def rationale_pairs(scored: pl.DataFrame, settings: AlignParams, seed: int) -> pl.DataFrame:
    """PAIRS of rationales: the best over the worst of a question, the widest of each task first.

    Of equal scores one is drawn, so that no reasoning prompt gains by its place; questions whose
    rationales tie, or whose best and worst are the same text, give none.
    """
    records: list[dict[str, Any]] = []
    for _, group in scored.group_by(["skill"], maintain_order=True):
        found = []
        for _, rows in group.group_by(["question_id"], maintain_order=True):
            best, worst = _ends(rows.to_dicts(), seed)
            if best["score"] > worst["score"] and best["response"] != worst["response"]:
                prompt_id = row_id("prompt", best["skill"], best["naive"])
                found.append(_pair(best, worst, best["naive"], prompt_id, "response", "row_id"))
        found.sort(key=lambda pair: round(pair["rejected_score"] - pair["chosen_score"], DIGITS))
        records += found[: settings.rationale_pairs]
    return pl.DataFrame(records, schema=PAIRS)


def _ends(rows: list[dict[str, Any]], seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The best and the worst rationale of a question, drawn among equals."""
    draw = random.Random(seed_of(seed, "rationale-pairs", rows[0]["question_id"]))
    scores = [row["score"] for row in rows]
    best, worst = (
        draw.choice([row for row in rows if row["score"] == end])
        for end in (max(scores), min(scores))
    )
    return best, worst


def _pair(
    best: dict[str, Any], worst: dict[str, Any], prompt: str, prompt_id: str, text: str, key: str
) -> dict[str, Any]:
    return {
        "pair_id": row_id(best[key], worst[key]),
        "prompt_id": prompt_id,
        "prompt": prompt,
        "chosen": best[text],
        "rejected": worst[text],
        "chosen_row": best[key],
        "rejected_row": worst[key],
        "chosen_score": best["score"],
        "rejected_score": worst["score"],
    }


def _metrics(
    scored: pl.DataFrame, questions: pl.DataFrame, rationales: pl.DataFrame
) -> dict[str, Any]:
    gap = pl.col("chosen_score") - pl.col("rejected_score")
    by_task = scored.group_by("skill", maintain_order=True).agg(pl.col("score").n_unique())
    tied = by_task.filter(pl.col("score") == 1)["skill"].to_list()
    ties = (
        scored.group_by("question_id", maintain_order=True)
        .agg(pl.col("score").n_unique() == 1)["score"]
        .sum()
    )
    return {
        "pairs": questions.height + rationales.height,
        "question_pairs": questions.height,
        "rationale_pairs": rationales.height,
        "question_gap": float(questions.select(gap.mean()).item() or 0.0),
        "rationale_gap": float(rationales.select(gap.mean()).item() or 0.0),
        "questions": scored["question_id"].n_unique(),
        "questions_tied": int(ties),  # all rationales score the same
        "tasks_tied": sorted(tied),  # every row scores the same: the task gives no pair
        "chosen_styles": _styles(scored, rationales["chosen_row"]),
        "rejected_styles": _styles(scored, rationales["rejected_row"]),
    }


def _styles(scored: pl.DataFrame, rows: pl.Series) -> dict[str, int]:
    """How often each special reasoning prompt, by its place, wrote one of `rows`."""
    counts = (
        scored.filter(pl.col("row_id").is_in(rows.to_list()))
        .group_by("style", maintain_order=True)
        .len()
    )
    return {str(style): number for style, number in counts.sort("style").iter_rows()}


def _too_few(metrics: dict[str, Any], settings: AlignParams, scores: Path) -> MontessoriError:
    tied = ", ".join(metrics["tasks_tied"]) or "none"
    return MontessoriError(
        f"{metrics['pairs']} preference pairs are too few; {metrics['questions_tied']} of "
        f"{metrics['questions']} questions have rationales that all score the same; tasks where "
        f"everything scores the same: {tied}",
        where=str(scores / "scores.parquet"),
        expected=f"at least {settings.min_pairs} pairs (align.min_pairs)",
        next="score with icl.measure: probability (it ties less than accuracy), with more "
        "questions, or draft more; then dvc repro",
    )
