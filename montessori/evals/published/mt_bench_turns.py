"""Verdicts on turns that a question does not have: they are no part of a mean."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from montessori.evals.published.judgments import Judgment, Match
from montessori.evals.published.verdict_files import read_lines

TURNS = 2  # of each question of MT-Bench
NO_TURN = "no such turn"
R = TypeVar("R", bound="Judgment | Match")


def leave_out_turns(rows: Sequence[R], questions: Path | None) -> list[R]:
    """The rows, those on a turn that their question does not have marked as not counting.

    A question has as many turns as its row in `questions`; without one, two.
    Raises MontessoriError for questions that cannot be read.
    """
    known = _count_turns(questions) if questions else {}
    return [row if _has_turn(row, known) else _leave_out(row) for row in rows]


def _has_turn(row: Judgment | Match, known: Mapping[int, int]) -> bool:
    return 1 <= row.turn <= known.get(row.question, TURNS)


def _leave_out(row: R) -> R:
    if isinstance(row, Judgment):
        return replace(row, score=None, why=NO_TURN)
    return replace(row, why=NO_TURN)


def _count_turns(questions: Path) -> dict[int, int]:
    """The number of turns of each question that has a list of them."""
    return {
        row["question_id"]: len(row["turns"])
        for _, row, _ in read_lines(questions)
        if isinstance(row.get("turns"), list) and isinstance(row.get("question_id"), int)
    }
