"""Sums: adding, taking away, times, sharing, missing numbers."""

from __future__ import annotations

from random import Random

from montessori.micro.phrasing import Slots, phrasings
from montessori.micro.task import PhrasedFamily, Solution, short, worked


def _draw_add(rng: Random) -> Slots:
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    if rng.random() < 0.3:
        a += 100
    return {"a": a, "b": b} if rng.random() < 0.5 else {"a": b, "b": a}


def _solve_add(a: int, b: int) -> Solution:
    return short(a + b, *sorted((a, b)))


def _draw_subtract(rng: Random) -> Slots:
    a, b = rng.randint(0, 99), rng.randint(0, 99)
    if rng.random() < 0.3:
        return {"a": a + 100, "b": b}
    return {"a": max(a, b), "b": min(a, b)}


def _solve_subtract(a: int, b: int) -> Solution | None:
    return short(a - b, a, b) if a >= b else None


def _draw_missing(rng: Random) -> Slots:
    a = rng.randint(0, 119)
    return {"a": a, "total": a + rng.randint(0, 99)}


def _solve_missing(a: int, total: int) -> Solution | None:
    return short(total - a, a, total) if total >= a else None


def _draw_three(rng: Random) -> Slots:
    return {name: rng.randint(1, 49) for name in "abc"}


def _solve_three(a: int, b: int, c: int) -> Solution:
    return short(a + b + c, *sorted((a, b, c)))


def _draw_product(rng: Random) -> Slots:
    a = rng.randint(2, 9)
    b = rng.randint(2, 12) if rng.random() < 0.5 else rng.randint(2, 99)
    return {"a": a, "b": b} if rng.random() < 0.5 else {"a": b, "b": a}


def _solve_product(a: int, b: int) -> Solution:
    return short(a * b, *sorted((a, b)))


def _draw_quotient(rng: Random) -> Slots:
    b = rng.randint(2, 9)
    return {"a": b * rng.randint(2, 30), "b": b}


def _solve_quotient(a: int, b: int) -> Solution | None:
    return short(a // b, a, b) if b and a % b == 0 else None


def _draw_double(rng: Random) -> Slots:
    return {"a": rng.randint(0, 150)}


def _draw_half(rng: Random) -> Slots:
    return {"a": 2 * rng.randint(0, 150)}


def _solve_double(a: int) -> Solution:
    return short(2 * a, a)


def _solve_half(a: int) -> Solution | None:
    return short(a // 2, a) if a % 2 == 0 else None


def _draw_times_then(rng: Random) -> Slots:
    a, b, c = rng.randint(2, 9), rng.randint(2, 25), rng.randint(1, 99)
    return {"a": a, "b": b, "c": c}


def _solve_times_then(a: int, b: int, c: int) -> Solution | None:
    return worked(a, ("x", b), ("+", c), content=(a, b, c))


def _draw_share_then(rng: Random) -> Slots:
    b = rng.randint(2, 9)
    return {"a": b * rng.randint(2, 20), "b": b, "c": rng.randint(1, 99)}


def _solve_share_then(a: int, b: int, c: int) -> Solution | None:
    return worked(a, ("/", b), ("+", c), content=(a, b, c))


ARITHMETIC = (
    PhrasedFamily(
        name="add",
        subject="arithmetic",
        kind="short",
        size=100 * 101 // 2 + 100 * 100,  # both below 100, or one of them 100 to 199
        phrasings=phrasings(
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
        phrasings=phrasings(
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
        name="missing_number",
        subject="arithmetic",
        kind="short",
        size=120 * 100,
        phrasings=phrasings(
            "{a} plus what number makes {total}?",
            "What must be added to {a} to get {total}?",
            "{a} + ? = {total}",
            "Which number goes with {a} to make {total}?",
            "Find the missing number: {a} + __ = {total}",
        ),
        draw_slots=_draw_missing,
        solve=_solve_missing,
    ),
    PhrasedFamily(
        name="add_three",
        subject="arithmetic",
        kind="short",
        size=49 * 50 * 51 // 6,  # three numbers of 1 to 49 in any order
        phrasings=phrasings(
            "What is {a} plus {b} plus {c}?",
            "Add {a}, {b} and {c}.",
            "{a} + {b} + {c} = ?",
            "What is the sum of {a}, {b} and {c}?",
            "How much do {a}, {b} and {c} make together?",
        ),
        draw_slots=_draw_three,
        solve=_solve_three,
    ),
    PhrasedFamily(
        name="multiply",
        subject="arithmetic",
        kind="short",
        evaluated=False,
        size=8 * 98 - 28,
        phrasings=phrasings(
            "What is {a} times {b}?",
            "Multiply {a} by {b}.",
            "{a} x {b} = ?",
            "What is the product of {a} and {b}?",
        ),
        draw_slots=_draw_product,
        solve=_solve_product,
    ),
    PhrasedFamily(
        name="divide",
        subject="arithmetic",
        kind="short",
        evaluated=False,
        size=8 * 29,
        phrasings=phrasings(
            "What is {a} divided by {b}?",
            "Divide {a} by {b}.",
            "{a} / {b} = ?",
            "How many times does {b} go into {a}?",
        ),
        draw_slots=_draw_quotient,
        solve=_solve_quotient,
    ),
    PhrasedFamily(
        name="double",
        subject="arithmetic",
        kind="short",
        evaluated=False,
        size=151,
        phrasings=phrasings(
            "What is double {a}?",
            "Double {a}.",
            "What is twice {a}?",
            "What do you get when you double {a}?",
        ),
        draw_slots=_draw_double,
        solve=_solve_double,
    ),
    PhrasedFamily(
        name="half",
        subject="arithmetic",
        kind="short",
        evaluated=False,
        size=151,
        phrasings=phrasings(
            "What is half of {a}?",
            "Halve {a}.",
            "Find half of {a}.",
            "What do you get when you halve {a}?",
        ),
        draw_slots=_draw_half,
        solve=_solve_half,
    ),
    PhrasedFamily(
        name="multiply_then_add",
        subject="arithmetic",
        kind="worked",
        size=8 * 24 * 99,
        phrasings=phrasings(
            "What is {a} times {b}, plus {c}?",
            "Multiply {a} by {b} and add {c}.",
            "{a} x {b} + {c} = ?",
            "Work out {a} times {b}, then add {c}.",
            "Add {c} to the product of {a} and {b}.",
        ),
        draw_slots=_draw_times_then,
        solve=_solve_times_then,
    ),
    PhrasedFamily(
        name="divide_then_add",
        subject="arithmetic",
        kind="worked",
        size=8 * 19 * 99,
        phrasings=phrasings(
            "What is {a} divided by {b}, plus {c}?",
            "Divide {a} by {b} and add {c}.",
            "{a} / {b} + {c} = ?",
            "Work out {a} divided by {b}, then add {c}.",
        ),
        draw_slots=_draw_share_then,
        solve=_solve_share_then,
    ),
)
