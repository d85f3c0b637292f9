"""Which of two numbers is larger, which smaller."""

from __future__ import annotations

from random import Random

from montessori.lab.phrasing import Slots, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, short_solution

_BELOW = 150  # numbers compared in pairs are 0 to 149
_PAIRS = _BELOW * (_BELOW - 1) // 2


def _draw_pair(rng: Random) -> Slots:
    a, b = rng.sample(range(_BELOW), 2)
    return {"a": a, "b": b}


def _solve_larger(a: int, b: int) -> Solution | None:
    return short_solution(max(a, b), *sorted((a, b))) if a != b else None


def _solve_smaller(a: int, b: int) -> Solution | None:
    return short_solution(min(a, b), *sorted((a, b))) if a != b else None


COMPARISON = (
    PhrasedFamily(
        name="larger",
        subject="comparison",
        kind="short",
        size=_PAIRS,
        phrasings=make_phrasings(
            "Which is larger, {a} or {b}?",
            "Which number is bigger: {a} or {b}?",
            "What is the larger of {a} and {b}?",
            "Name the greater number: {a} or {b}.",
            "Pick the bigger of {a} and {b}.",
        ),
        draw_slots=_draw_pair,
        solve=_solve_larger,
    ),
    PhrasedFamily(
        name="smaller",
        subject="comparison",
        kind="short",
        size=_PAIRS,
        phrasings=make_phrasings(
            "Which is smaller, {a} or {b}?",
            "Which number is less: {a} or {b}?",
            "What is the smaller of {a} and {b}?",
            "Name the lesser number: {a} or {b}.",
            "Pick the smaller of {a} and {b}.",
        ),
        draw_slots=_draw_pair,
        solve=_solve_smaller,
    ),
)
