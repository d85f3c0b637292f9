"""ARTE's preference pairs: questions against questions, rationales against rationales, mixed.

Source: arXiv 2406.19227, section 3.3. Question pairs take the chosen text from the best quarter of
a task's questions and the rejected one from the worst. Rationale pairs take the best and the worst
rationale of one question; their prompt is the naive one, so that the special prompt is erased.
"""

import random
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import polars as pl

from montessori.artifacts.files import make_table, new_folder, read_table, row_id, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, DRAFTS, PAIRS, SCORES
from montessori.errors import MontessoriError
from montessori.formats.recorded import format_facts, read_format
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
    scored = join_scores(
        read_table(drafts / "rows.parquet", DRAFTS),
        read_table(scores / "scores.parquet", SCORES),
        scores,
    )
    questions = pair_questions(scored, settings, seed)
    rationales = pair_rationales(scored, settings, seed)
    pairs = pl.concat([questions, rationales])
    metrics = _measure_pairs(scored, questions, rationales)
    if pairs.height < settings.min_pairs:
        raise _too_few_pairs(metrics, settings, scores)
    counts = {"pairs": pairs.height, "question_pairs": questions.height}
    facts = {**counts, **writer_hashes(drafts), **format_facts(read_format(drafts))}
    with new_folder(out, {"drafts": drafts, "scores": scores}, facts) as folder:
        write_table(pairs, folder / "pairs.parquet", PAIRS)
    return metrics


def join_scores(drafts: pl.DataFrame, scores: pl.DataFrame, where: Path) -> pl.DataFrame:
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


def average_questions(scored: pl.DataFrame) -> pl.DataFrame:
    """One row per question, in order: its columns and `score`, the mean over its rationales.

    Rounded, because means of the same shares can differ in their last bits, which is no preference.
    """
    return scored.group_by("question_id", maintain_order=True).agg(
        pl.col("skill", "prompt", "prompt_id", "raw").first(), pl.col("score").mean().round(DIGITS)
    )


def pair_questions(scored: pl.DataFrame, settings: AlignParams, seed: int) -> pl.DataFrame:
    """PAIRS of questions: of each task `settings.question_pairs`, drawn without repetition.

    Candidates are all of the top share over all of the bottom share with unequal scores.
    """
    records: list[dict[str, Any]] = []
    for (task,), group in average_questions(scored).group_by(["skill"], maintain_order=True):
        ranked = group.sort("score", descending=True, maintain_order=True).to_dicts()
        size = max(1, int(settings.share * len(ranked)))
        candidates = []
        for best, worst in product(ranked[:size], ranked[-size:]):
            if best["score"] > worst["score"] and best["raw"] != worst["raw"]:
                candidates.append((best, worst))
        random.Random(seed_of(seed, "question-pairs", str(task))).shuffle(candidates)
        for best, worst in candidates[: settings.question_pairs]:
            prompt = Prompt(best["prompt"], best["prompt_id"])
            records.append(_make_pair(best, worst, prompt, text="raw", key="question_id"))
    return make_table(records, PAIRS)


def pair_rationales(scored: pl.DataFrame, settings: AlignParams, seed: int) -> pl.DataFrame:
    """PAIRS of rationales: the best over the worst of a question, the widest of each task first.

    Of equal scores one is drawn, so that no reasoning prompt gains by its place. Questions whose
    rationales tie, or whose best and worst are the same text, give no pair.
    """
    records: list[dict[str, Any]] = []
    for _, group in scored.group_by(["skill"], maintain_order=True):
        pairs = []
        for _, rows in group.group_by(["question_id"], maintain_order=True):
            best, worst = _best_and_worst(rows.to_dicts(), seed)
            if best["score"] > worst["score"] and best["response"] != worst["response"]:
                naive = best["naive"]
                prompt = Prompt(naive, row_id("prompt", best["skill"], naive))
                pairs.append(_make_pair(best, worst, prompt, text="response", key="row_id"))
        # Widest first. Rounded, so that the order does not hang on the last bits of the scores.
        pairs.sort(key=lambda pair: round(pair["rejected_score"] - pair["chosen_score"], DIGITS))
        records += pairs[: settings.rationale_pairs]
    return make_table(records, PAIRS)


def _best_and_worst(rows: list[dict[str, Any]], seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The best and the worst rationale of a question, drawn among equals."""
    # One generator for both: the best is drawn first, and that order is part of the result.
    rng = random.Random(seed_of(seed, "rationale-pairs", rows[0]["question_id"]))
    highest = max(row["score"] for row in rows)
    lowest = min(row["score"] for row in rows)
    best = rng.choice([row for row in rows if row["score"] == highest])
    worst = rng.choice([row for row in rows if row["score"] == lowest])
    return best, worst


@dataclass(frozen=True)
class Prompt:
    """What the teacher is trained to answer with the chosen text."""

    text: str
    prompt_id: str


def _make_pair(
    best: dict[str, Any], worst: dict[str, Any], prompt: Prompt, text: str, key: str
) -> dict[str, Any]:
    """A PAIRS row; `text` and `key` are the columns of the texts and of their ids."""
    return {
        "pair_id": row_id(best[key], worst[key]),
        "prompt_id": prompt.prompt_id,
        "prompt": prompt.text,
        "chosen": best[text],
        "rejected": worst[text],
        "chosen_row": best[key],
        "rejected_row": worst[key],
        "chosen_score": best["score"],
        "rejected_score": worst["score"],
    }


def _measure_pairs(
    scored: pl.DataFrame, questions: pl.DataFrame, rationales: pl.DataFrame
) -> dict[str, Any]:
    gap = pl.col("chosen_score") - pl.col("rejected_score")
    different = pl.col("score").n_unique()
    by_task = scored.group_by("skill", maintain_order=True).agg(different)
    tasks_tied = by_task.filter(pl.col("score") == 1)["skill"].to_list()
    by_question = scored.group_by("question_id", maintain_order=True).agg(different)
    questions_tied = by_question.filter(pl.col("score") == 1).height
    return {
        "pairs": questions.height + rationales.height,
        "question_pairs": questions.height,
        "rationale_pairs": rationales.height,
        "question_gap": float(questions.select(gap.mean()).item() or 0.0),
        "rationale_gap": float(rationales.select(gap.mean()).item() or 0.0),
        "questions": scored["question_id"].n_unique(),
        "questions_tied": questions_tied,  # all rationales score the same
        "tasks_tied": sorted(tasks_tied),  # every row scores the same: the task gives no pair
        "chosen_styles": _count_styles(scored, rationales["chosen_row"]),
        "rejected_styles": _count_styles(scored, rationales["rejected_row"]),
    }


def _count_styles(scored: pl.DataFrame, rows: pl.Series) -> dict[str, int]:
    """How often each special reasoning prompt, by its place, wrote one of `rows`."""
    counts = (
        scored.filter(pl.col("row_id").is_in(rows.to_list()))
        .group_by("style", maintain_order=True)
        .len()
    )
    return {str(style): number for style, number in counts.sort("style").iter_rows()}


def _too_few_pairs(metrics: dict[str, Any], settings: AlignParams, scores: Path) -> MontessoriError:
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
