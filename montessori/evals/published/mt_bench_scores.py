"""Scores of MT-Bench from single-answer grades: by model, turn and category, over judge runs.

Headline figures are those of FastChat's `show_result.py`: the mean over all graded rows, where an
answer that was judged twice counts twice. Beside it stands the mean in which each answer counts
once.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

from montessori.errors import MontessoriError
from montessori.evals.published.judgments import Judgment

SHOWN = 20  # disagreements and rows without a grade that are listed
Verdicts = Mapping[tuple[int, int], Sequence[float]]  # (question, turn): scores in order of time
Key = TypeVar("Key", bound=Hashable)


def score_judgments(
    judgments: Sequence[Judgment], categories: Mapping[int, str], source: str = ""
) -> dict[str, Any]:
    """All figures as JSON: by model, and which rows count and which do not.

    categories: the category of each question; a question without one is in "other". source: the
    file that the rows come from, for messages.
    Raises MontessoriError where no row is graded.
    """
    if all(row.score is None for row in judgments):
        raise MontessoriError(
            f"none of {len(judgments)} rows has a rating: {_list_reasons(judgments)}",
            where=source,
            expected="a score from 1 to 10, or [[5]] in the judge's text",
            next="judge the answers again",
        )
    models = {}
    for model, rows in _group_by(judgments, attrgetter("model")).items():
        models[model] = score_model([row for row in rows if row.score is not None], categories)
    return {"kind": "single", "models": models, **_count_rows(judgments)}


def score_model(graded: Sequence[Judgment], categories: Mapping[int, str]) -> dict[str, Any]:
    """The figures of one model; a mean of no rows is None."""

    def category_of(row: Judgment) -> str:
        return categories.get(row.question, "other")

    by_turn = _group_by(graded, attrgetter("turn"))
    return {
        "score": _mean_score(graded),
        "turns": _means_by(graded, lambda row: str(row.turn)),
        "categories": _means_by(graded, category_of),
        "categories_by_turn": {
            str(turn): _means_by(by_turn[turn], category_of) for turn in sorted(by_turn)
        },
        "n_graded": len(graded),
        "each_answer_once": _each_once(scores_by_answer(graded)),
        "judge_runs": judge_runs(scores_by_answer(graded)),
        "score_by_text": _mean_or_none(
            row.score if row.parsed is None else row.parsed for row in graded
        ),
    }


def scores_by_answer(graded: Iterable[Judgment]) -> Verdicts:
    """The scores of each answer of one model, in order of time; a row copied whole counts once."""
    scores: dict[tuple[int, int], list[float]] = defaultdict(list)
    seen = set()
    # A row copied whole is the same verdict twice; the same grade at another time is a new one.
    for row in sorted(graded, key=attrgetter("time")):
        if row.score is not None and row.source not in seen:
            scores[row.question, row.turn].append(row.score)
            seen.add(row.source)
    return scores


def judge_runs(verdicts: Verdicts) -> dict[str, Any]:
    """How much several verdicts on the same answers differ.

    `answers`: how many were judged several times. `spread`, `largest_spread`: mean and maximum over
    them of the highest minus the lowest score. `median_score`: the mean over all answers of the
    median verdict. `scores`: the mean of the first verdicts, of the second and so on, as many as
    every answer has, with `median`, `lowest` and `highest`; empty where some answer has only one.
    """
    answers = list(verdicts.values())
    spreads = [max(scores) - min(scores) for scores in answers if len(scores) > 1]
    runs = list(zip(*answers))  # as many as every answer has verdicts
    means = [float(np.mean(scores)) for scores in runs] if len(runs) > 1 else []
    return {
        "answers": len(spreads),
        "spread": _mean_or_none(spreads),
        "largest_spread": max(spreads, default=None),
        "median_score": _mean_or_none(float(np.median(scores)) for scores in answers),
        "scores": means,
        "median": float(np.median(means)) if means else None,
        "lowest": min(means, default=None),
        "highest": max(means, default=None),
    }


def _each_once(verdicts: Verdicts) -> dict[str, Any]:
    """Score and turns where each answer counts once, by the mean of its verdicts."""
    means: list[float] = []
    by_turn: dict[int, list[float]] = {}
    for (_, turn), scores in verdicts.items():
        mean = float(np.mean(scores))
        means.append(mean)
        by_turn.setdefault(turn, []).append(mean)
    return {
        "score": _mean_or_none(means),
        "turns": {str(turn): _mean_or_none(by_turn[turn]) for turn in sorted(by_turn)},
        "n_answers": len(verdicts),
    }


# ---------------------------------------------------------------------------------- rows, means
def _count_rows(judgments: Sequence[Judgment]) -> dict[str, Any]:
    differing = [row for row in judgments if row.disagrees]
    ungraded = [row for row in judgments if row.score is None]
    answers = {(row.model, row.question, row.turn) for row in judgments}
    return {
        "n_rows": len(judgments),
        "n_graded": len(judgments) - len(ungraded),
        "left_out": _count_by(ungraded, "why"),
        "left_out_rows": list(map(_show_row, ungraded[:SHOWN])),
        "n_disagreements": len(differing),
        "disagreements": list(map(_show_row, differing[:SHOWN])),
        "n_repeated": len(judgments) - len(answers),
        "n_copies": len(judgments) - len(_count_by(judgments, "source")),
        "judges": _count_by(judgments, "judge"),
    }


def _show_row(row: Judgment) -> dict[str, Any]:
    keys = ("line", "model", "question", "turn", "stored", "parsed", "why")
    return {key: getattr(row, key) for key in keys}


def _list_reasons(judgments: Sequence[Judgment]) -> str:
    return ", ".join(f"{count} {why}" for why, count in _count_by(judgments, "why").items())


def _count_by(judgments: Sequence[Judgment], name: str) -> dict[str, int]:
    """How many rows have each value of a field."""
    return dict(Counter(map(attrgetter(name), judgments)))


def _group_by(
    rows: Iterable[Judgment], key_of: Callable[[Judgment], Key]
) -> dict[Key, list[Judgment]]:
    """Rows by a key, in the order in which keys first occur."""
    groups: dict[Key, list[Judgment]] = {}
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)
    return groups


def _means_by(
    rows: Sequence[Judgment], key_of: Callable[[Judgment], str]
) -> dict[str, float | None]:
    groups = _group_by(rows, key_of)
    return {key: _mean_score(groups[key]) for key in sorted(groups)}


def _mean_score(rows: Iterable[Judgment]) -> float | None:
    return _mean_or_none(row.score for row in rows)


def _mean_or_none(values: Iterable[float | None]) -> float | None:
    """The mean of the values that are not None; None without any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
