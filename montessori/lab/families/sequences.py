"""Number sequences with a constant step."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from montessori.lab.phrasing import Slots, join_items, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, short_solution

_LONGEST_COUNT = 12  # terms


def _draw_terms(rng: Random, length: int, largest_step: int) -> tuple[int, ...]:
    """Return a sequence, up or down, whose lowest term is 0 to 99."""
    low, step = rng.randint(0, 99), rng.randint(1, largest_step)
    terms = tuple(low + step * i for i in range(length))
    return terms if rng.random() < 0.5 else terms[::-1]


def _draw_next(rng: Random) -> Slots:
    length = rng.randint(3, 5)
    # The two terms that are cut off keep the next number of a falling sequence from being negative.
    return {"xs": _draw_terms(rng, length + 2, 20)[:length]}


def _draw_count(rng: Random) -> Slots:
    terms = _draw_terms(rng, rng.randint(3, 6), 15)
    way = "up" if terms[0] < terms[-1] else "down"
    return {"a": terms[0], "b": terms[-1], "step": abs(terms[1] - terms[0]), "way": way}


def _constant_step(xs: tuple[int, ...]) -> int | None:
    """Return the constant step, or None where there is none, it is 0, or the list is short."""
    steps = {b - a for a, b in pairwise(xs)}
    return (steps.pop() or None) if len(xs) >= 3 and len(steps) == 1 else None


def _solve_next(xs: tuple[int, ...]) -> Solution | None:
    step = _constant_step(xs)
    if step is None or xs[-1] + step < 0:
        return None
    return short_solution(xs[-1] + step, xs)


def _solve_count(a: int, b: int, step: int, way: str) -> Solution | None:
    if step == 0 or a == b or (b > a) != (way == "up") or (b - a) % step:
        return None
    terms = range(a, b + 1, step) if b > a else range(a, b - 1, -step)
    return short_solution(join_items(terms), a, b, step) if len(terms) <= _LONGEST_COUNT else None


SEQUENCES = (
    PhrasedFamily(
        name="next_number",
        subject="sequences",
        kind="short",
        size=100 * 20 * 2 * 3,  # lowest number, step, direction, length
        phrasings=make_phrasings(
            "What comes next: {xs:numbers}?",
            "What is the next number after {xs:numbers}?",
            "Continue with one number: {xs:numbers}.",
            "Which number follows in the sequence {xs:numbers}?",
            "{xs:numbers}, ?",
        ),
        draw_slots=_draw_next,
        solve=_solve_next,
    ),
    PhrasedFamily(
        name="count_steps",
        subject="sequences",
        kind="short",
        size=100 * 15 * 2 * 4,  # lowest number, step, direction, length
        phrasings=make_phrasings(
            "Count {way:up|down} from {a} to {b} in steps of {step}.",
            "Count {way:up|down} by {step}, from {a} to {b}.",
            "Start at {a} and count {way:up|down} to {b}, {step} at a time.",
            "List the numbers going {way:up|down} from {a} to {b} by {step}.",
        ),
        draw_slots=_draw_count,
        solve=_solve_count,
    ),
)
