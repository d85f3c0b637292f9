"""Comparing numbers."""

from __future__ import annotations

from random import Random

from montessori.micro.phrasing import Slots, phrasings
from montessori.micro.task import PhrasedFamily, Solution, short

_BELOW = 150  # numbers compared in pairs are 0 to 149
_PAIRS = _BELOW * (_BELOW - 1) // 2


def _draw_pair(rng: Random) -> Slots:
    a, b = rng.sample(range(_BELOW), 2)
    return {"a": a, "b": b}


def _draw_larger_first(rng: Random) -> Slots:
    a, b = rng.sample(range(_BELOW), 2)
    return {"a": max(a, b), "b": min(a, b)}


def _draw_list(rng: Random) -> Slots:
    return {"xs": tuple(rng.sample(range(100), rng.randint(3, 4)))}


def _solve_larger(a: int, b: int) -> Solution | None:
    return short(max(a, b), *sorted((a, b))) if a != b else None


def _solve_smaller(a: int, b: int) -> Solution | None:
    return short(min(a, b), *sorted((a, b))) if a != b else None


def _solve_smallest(xs: tuple[int, ...]) -> Solution:
    return short(min(xs), tuple(sorted(xs)))


def _solve_largest(xs: tuple[int, ...]) -> Solution:
    return short(max(xs), tuple(sorted(xs)))


def _solve_greater(a: int, b: int) -> Solution:
    return short("yes" if a > b else "no", a, b)


def _solve_difference(a: int, b: int) -> Solution | None:
    return short(a - b, a, b) if a >= b else None


COMPARISON = (
    PhrasedFamily(
        name="larger",
        subject="comparison",
        kind="short",
        size=_PAIRS,
        phrasings=phrasings(
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
        phrasings=phrasings(
            "Which is smaller, {a} or {b}?",
            "Which number is less: {a} or {b}?",
            "What is the smaller of {a} and {b}?",
            "Name the lesser number: {a} or {b}.",
            "Pick the smaller of {a} and {b}.",
        ),
        draw_slots=_draw_pair,
        solve=_solve_smaller,
    ),
    PhrasedFamily(
        name="smallest_of",
        subject="comparison",
        kind="short",
        size=100 * 99 * 98 // 6,
        phrasings=phrasings(
            "What is the smallest of {xs:numbers}?",
            "Which number is the smallest: {xs:numbers}?",
            "Find the lowest number in {xs:numbers}.",
            "Pick the smallest number from this list: {xs:numbers}.",
            "Name the least of these numbers: {xs:numbers}.",
        ),
        draw_slots=_draw_list,
        solve=_solve_smallest,
    ),
    PhrasedFamily(
        name="largest_of",
        subject="comparison",
        kind="short",
        size=100 * 99 * 98 // 6,
        phrasings=phrasings(
            "What is the largest of {xs:numbers}?",
            "Which number is the biggest: {xs:numbers}?",
            "Find the highest number in {xs:numbers}.",
            "Pick the largest number from this list: {xs:numbers}.",
            "Name the greatest of these numbers: {xs:numbers}.",
        ),
        draw_slots=_draw_list,
        solve=_solve_largest,
    ),
    PhrasedFamily(
        name="greater_than",
        subject="comparison",
        kind="short",
        size=_BELOW * (_BELOW - 1),
        phrasings=phrasings(
            "Is {a} greater than {b}?",
            "Is {b} less than {a}?",
            "Is {a} more than {b}?",
            "Is {b} smaller than {a}?",
            "Say yes or no: {a} is bigger than {b}.",
        ),
        draw_slots=_draw_pair,
        solve=_solve_greater,
    ),
    PhrasedFamily(
        name="difference",
        subject="comparison",
        kind="short",
        size=_PAIRS,
        phrasings=phrasings(
            "How much more is {a} than {b}?",
            "How much less is {b} than {a}?",
            "By how much is {a} greater than {b}?",
            "What is the difference between {a} and {b}?",
            "How far is it from {b} up to {a}?",
        ),
        draw_slots=_draw_larger_first,
        solve=_solve_difference,
    ),
)
