"""Scores of MT-Bench from single-answer grades: by model, turn and category, over judge runs.

Headline figures are those of FastChat's `show_result.py`: the mean over all graded rows, an answer
that was judged twice counting twice. The mean in which each answer counts once is beside it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from montessori.errors import MontessoriError
from montessori.evals.published.judgments import Judgment

SHOWN = 20  # disagreements and left-out rows that are listed
Verdicts = Mapping[tuple[int, int], Sequence[float]]  # (question, turn): scores in order of time


def score_judgments(
    judgments: Sequence[Judgment], categories: Mapping[int, str], source: str = ""
) -> dict[str, Any]:
    """All figures as JSON: by model, and what was counted and left out.

    categories: the category of each question; one that is not there is "other". source: the file
    that the rows come from, for messages.
    Raises MontessoriError where no row is graded.
    """
    graded = [row for row in judgments if row.score is not None]
    if not graded:
        raise MontessoriError(
            f"none of {len(judgments)} rows has a rating: {_list_reasons(judgments)}",
            where=source,
            expected="a score from 1 to 10, or [[5]] in the judge's text",
            next="judge the answers again",
        )
    models = dict.fromkeys(row.model for row in judgments)
    return {
        "kind": "single",
        "models": {
            model: score_model([row for row in graded if row.model == model], categories)
            for model in models
        },
        **_count_rows(judgments),
    }


def score_model(graded: Sequence[Judgment], categories: Mapping[int, str]) -> dict[str, Any]:
    """The figures of one model; None for a mean of no rows."""
    return {
        "score": _mean_score(graded),
        "turns": _means_by(graded, lambda row: str(row.turn)),
        "categories": _means_by(graded, lambda row: categories.get(row.question, "other")),
        "categories_by_turn": {
            str(turn): _means_by(
                [row for row in graded if row.turn == turn],
                lambda row: categories.get(row.question, "other"),
            )
            for turn in sorted({row.turn for row in graded})
        },
        "n_graded": len(graded),
        "each_answer_once": _each_once(scores_by_answer(graded)),
        "judge_runs": judge_runs(scores_by_answer(graded)),
        "score_by_text": _mean_score(
            graded, lambda row: row.score if row.parsed is None else row.parsed
        ),
    }


def scores_by_answer(graded: Iterable[Judgment]) -> Verdicts:
    """The scores of each answer of one model, in order of time; a row copied whole counts once."""
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    seen = set()
    for row in sorted(graded, key=lambda row: row.time):
        if row.score is not None and row.source not in seen:
            found[row.question, row.turn].append(row.score)
            seen.add(row.source)
    return found


def judge_runs(verdicts: Verdicts) -> dict[str, Any]:
    """How much several verdicts on the same answers differ.

    `answers`: how many were judged several times. `spread`, `largest_spread`: mean and maximum over
    them of the highest less the lowest score. `median_score`: the mean over all answers of the
    median verdict. `scores`: the mean of the first verdicts, of the second and so on, as many as
    every answer has, with `median`, `lowest` and `highest`; empty where some answer has only one.
    """
    several = [scores for scores in verdicts.values() if len(scores) > 1]
    spreads = [max(scores) - min(scores) for scores in several]
    runs = min((len(scores) for scores in verdicts.values()), default=0)
    columns = range(runs if runs > 1 else 0)
    means = [float(np.mean([scores[run] for scores in verdicts.values()])) for run in columns]
    return {
        "answers": len(several),
        "spread": _mean_or_none(spreads),
        "largest_spread": max(spreads, default=None),
        "median_score": _mean_or_none(float(np.median(scores)) for scores in verdicts.values()),
        "scores": means,
        "median": float(np.median(means)) if means else None,
        "lowest": min(means, default=None),
        "highest": max(means, default=None),
    }


def _each_once(verdicts: Verdicts) -> dict[str, Any]:
    """Score and turns where each answer counts once, by the mean of its verdicts."""
    turns = sorted({turn for _, turn in verdicts})
    return {
        "score": _mean_or_none(float(np.mean(scores)) for scores in verdicts.values()),
        "turns": {
            str(turn): _mean_or_none(
                float(np.mean(scores)) for (_, at), scores in verdicts.items() if at == turn
            )
            for turn in turns
        },
        "n_answers": len(verdicts),
    }


def _count_rows(judgments: Sequence[Judgment]) -> dict[str, Any]:
    differing = [row for row in judgments if row.disagrees]
    left_out = [row for row in judgments if row.score is None]
    copies = Counter(row.source for row in judgments)
    answers = Counter((row.model, row.question, row.turn) for row in judgments)
    return {
        "n_rows": len(judgments),
        "n_graded": len(judgments) - len(left_out),
        "left_out": dict(Counter(row.why for row in left_out)),
        "left_out_rows": [_show_row(row) for row in left_out[:SHOWN]],
        "n_disagreements": len(differing),
        "disagreements": [_show_row(row) for row in differing[:SHOWN]],
        "n_repeated": len(judgments) - len(answers),
        "n_copies": len(judgments) - len(copies),
        "judges": dict(Counter(row.judge for row in judgments)),
    }


def _show_row(row: Judgment) -> dict[str, Any]:
    keys = ("line", "model", "question", "turn", "stored", "parsed", "why")
    return {key: getattr(row, key) for key in keys}


def _list_reasons(judgments: Sequence[Judgment]) -> str:
    counts = Counter(row.why for row in judgments)
    return ", ".join(f"{count} {why}" for why, count in counts.items())


def _means_by(
    rows: Sequence[Judgment], group: Callable[[Judgment], str]
) -> dict[str, float | None]:
    names = sorted({group(row) for row in rows})
    return {name: _mean_score([row for row in rows if group(row) == name]) for name in names}


def _mean_score(
    rows: Sequence[Judgment], value: Callable[[Judgment], float | None] = lambda row: row.score
) -> float | None:
    return _mean_or_none(number for row in rows if (number := value(row)) is not None)


def _mean_or_none(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None
