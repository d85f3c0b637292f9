"""Sums: adding, taking away, times, and times with adding."""

from __future__ import annotations

from random import Random

from montessori.lab.phrasing import Slots, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, short_solution, worked_solution


def _draw_add(rng: Random) -> Slots:
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    if rng.random() < 0.3:
        a += 100
    return {"a": a, "b": b} if rng.random() < 0.5 else {"a": b, "b": a}


def _solve_add(a: int, b: int) -> Solution:
    # Sorted, so that `3 + 5` and `5 + 3` have one key and never lie in different buckets.
    return short_solution(a + b, *sorted((a, b)))


def _draw_subtract(rng: Random) -> Slots:
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    if rng.random() < 0.3:
        return {"a": a + 100, "b": b}
    return {"a": max(a, b), "b": min(a, b)}


def _solve_subtract(a: int, b: int) -> Solution | None:
    return short_solution(a - b, a, b) if a >= b else None


def _draw_product(rng: Random) -> Slots:
    a = rng.randint(2, 9)
    b = rng.randint(2, 12) if rng.random() < 0.5 else rng.randint(2, 99)
    return {"a": a, "b": b} if rng.random() < 0.5 else {"a": b, "b": a}


def _solve_product(a: int, b: int) -> Solution:
    return short_solution(a * b, *sorted((a, b)))


def _draw_times_then(rng: Random) -> Slots:
    a, b, c = rng.randint(2, 9), rng.randint(2, 25), rng.randint(1, 99)
    return {"a": a, "b": b, "c": c}


def _solve_times_then(a: int, b: int, c: int) -> Solution | None:
    return worked_solution(a, ("x", b), ("+", c), content=(a, b, c))


ARITHMETIC = (
    PhrasedFamily(
        name="add",
        subject="arithmetic",
        kind="short",
        size=100 * 101 // 2 + 100 * 100,  # both below 100, or one of them 100 to 199
        phrasings=make_phrasings(
            "What is {a} plus {b}?",
            "Add {a} and {b}.",
            "{a} + {b} = ?",
            "What is the sum of {a} and {b}?",
            "Work out {a} + {b}.",
            "How much do {a} and {b} make together?",
            "Find the total of {a} and {b}.",
        ),
        draw_slots=_draw_add,
        solve=_solve_add,
    ),
    PhrasedFamily(
        name="subtract",
        subject="arithmetic",
        kind="short",
        size=100 * 101 // 2 + 100 * 100,
        phrasings=make_phrasings(
            "What is {a} minus {b}?",
            "Subtract {b} from {a}.",
            "{a} - {b} = ?",
            "Take {b} away from {a}.",
            "Work out {a} - {b}.",
            "What is left when {b} is taken from {a}?",
        ),
        draw_slots=_draw_subtract,
        solve=_solve_subtract,
    ),
    PhrasedFamily(
        name="multiply",
        subject="arithmetic",
        kind="short",
        evaluated=False,
        # 2 to 9 times 2 to 99; the 28 pairs of different numbers below 10 come in two orders.
        size=8 * 98 - 28,
        phrasings=make_phrasings(
            "What is {a} times {b}?",
            "Multiply {a} by {b}.",
            "{a} x {b} = ?",
            "What is the product of {a} and {b}?",
        ),
        draw_slots=_draw_product,
        solve=_solve_product,
    ),
    PhrasedFamily(
        name="multiply_then_add",
        subject="arithmetic",
        kind="worked",
        size=8 * 24 * 99,
        phrasings=make_phrasings(
            "What is {a} times {b}, plus {c}?",
            "Multiply {a} by {b} and add {c}.",
            "{a} x {b} + {c} = ?",
            "Work out {a} times {b}, then add {c}.",
            "Add {c} to the product of {a} and {b}.",
        ),
        draw_slots=_draw_times_then,
        solve=_solve_times_then,
    ),
)
