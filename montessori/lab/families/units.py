"""Units of length, money and number."""

from __future__ import annotations

from random import Random

from montessori.lab.phrasing import Slots, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, short_solution, worked_solution
from montessori.lab.words import THINGS


def _draw_hundreds(rng: Random) -> Slots:
    return {"n": rng.randint(2, 120), "c": rng.randint(2, 99)}


def _solve_hundreds(n: int, c: int) -> Solution:
    return short_solution(100 * n + c, n, c)


def _draw_dozens(rng: Random) -> Slots:
    return {"n": rng.randint(2, 12), "thing": rng.choice(THINGS), "c": rng.randint(2, 60)}


def _solve_dozens(n: int, thing: str, c: int) -> Solution | None:
    return worked_solution(n, ("x", 12), ("+", c), content=(n, thing, c))


UNITS = (
    PhrasedFamily(
        name="metres",
        subject="units",
        kind="short",
        size=119 * 98,
        phrasings=make_phrasings(
            "How many centimetres are {n} metres and {c} centimetres?",
            "Change {n} metres and {c} centimetres into centimetres.",
            "Write {n} m and {c} cm in cm.",
            "A rope is {n} metres and {c} centimetres long. How many centimetres is that?",
        ),
        draw_slots=_draw_hundreds,
        solve=_solve_hundreds,
    ),
    PhrasedFamily(
        name="dollars",
        subject="units",
        kind="short",
        size=119 * 98,
        phrasings=make_phrasings(
            "How many cents are {n} dollars and {c} cents?",
            "Change {n} dollars and {c} cents into cents.",
            "Write {n} dollars and {c} cents in cents.",
            "A toy costs {n} dollars and {c} cents. How many cents is that?",
        ),
        draw_slots=_draw_hundreds,
        solve=_solve_hundreds,
    ),
    PhrasedFamily(
        name="dozens",
        subject="units",
        kind="worked",
        size=11 * 59 * len(THINGS),
        phrasings=make_phrasings(
            "How many {thing:many} are {n} dozen {thing:many} and {c} more?",
            "A box holds {n} dozen {thing:many} and a bag {c}. How many {thing:many} is that?",
            "Count {n} dozen {thing:many} and {c} {thing:many}.",
            "What number of {thing:many} do {n} dozen and {c} more make?",
        ),
        draw_slots=_draw_dozens,
        solve=_solve_dozens,
    ),
)
