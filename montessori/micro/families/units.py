"""Units of time, length, money and number."""

from __future__ import annotations

from random import Random

from montessori.micro.phrasing import Slots, phrasings
from montessori.micro.task import PhrasedFamily, Solution, short, worked
from montessori.micro.words import THINGS

_TIME = {
    ("weeks", "days"): 7,
    ("days", "hours"): 24,
    ("hours", "minutes"): 60,
    ("minutes", "seconds"): 60,
    ("years", "months"): 12,
}
_CENTS = {"nickels": 5, "dimes": 10, "quarters": 25}


def _draw_time(rng: Random) -> Slots:
    big, small = rng.choice(list(_TIME))
    return {"n": rng.randint(2, 22), "big": big, "small": small, "c": rng.randint(2, 99)}


def _solve_time(n: int, big: str, small: str, c: int) -> Solution | None:
    factor = _TIME.get((big, small))
    if factor is None:
        return None
    return worked(n, ("x", factor), ("+", c), content=(n, big, c, small))


def _draw_hundreds(rng: Random) -> Slots:
    return {"n": rng.randint(2, 120), "c": rng.randint(2, 99)}


def _solve_hundreds(n: int, c: int) -> Solution:
    return short(100 * n + c, n, c)


def _draw_coins(rng: Random) -> Slots:
    return {"n": rng.randint(2, 40), "coin": rng.choice(list(_CENTS)), "c": rng.randint(2, 99)}


def _solve_coins(n: int, coin: str, c: int) -> Solution | None:
    return worked(n, ("x", _CENTS[coin]), ("+", c), content=(n, coin, c))


def _draw_dozens(rng: Random) -> Slots:
    return {"n": rng.randint(2, 12), "thing": rng.choice(THINGS), "c": rng.randint(2, 60)}


def _solve_dozens(n: int, thing: str, c: int) -> Solution | None:
    return worked(n, ("x", 12), ("+", c), content=(n, thing, c))


_BIG = "{big:weeks|days|hours|minutes|years}"
_SMALL = "{small:days|hours|minutes|seconds|months}"
_COIN = "{coin:" + "|".join(_CENTS) + "}"

UNITS = (
    PhrasedFamily(
        name="time_units",
        subject="units",
        kind="worked",
        size=5 * 21 * 98,
        phrasings=phrasings(
            f"How many {_SMALL} are {{n}} {_BIG} and {{c}} {_SMALL}?",
            f"Change {{n}} {_BIG} and {{c}} {_SMALL} into {_SMALL}.",
            f"Write {{n}} {_BIG} and {{c}} {_SMALL} in {_SMALL}.",
            f"A trip takes {{n}} {_BIG} and {{c}} {_SMALL}. How many {_SMALL} is that?",
        ),
        draw_slots=_draw_time,
        solve=_solve_time,
    ),
    PhrasedFamily(
        name="metres",
        subject="units",
        kind="short",
        size=119 * 98,
        phrasings=phrasings(
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
        phrasings=phrasings(
            "How many cents are {n} dollars and {c} cents?",
            "Change {n} dollars and {c} cents into cents.",
            "Write {n} dollars and {c} cents in cents.",
            "A toy costs {n} dollars and {c} cents. How many cents is that?",
        ),
        draw_slots=_draw_hundreds,
        solve=_solve_hundreds,
    ),
    PhrasedFamily(
        name="coins",
        subject="units",
        kind="worked",
        size=39 * 3 * 98,
        phrasings=phrasings(
            f"How many cents are {{n}} {_COIN} and {{c}} cents?",
            f"What are {{n}} {_COIN} and {{c}} cents worth in cents?",
            f"Change {{n}} {_COIN} and {{c}} cents into cents.",
            f"A purse holds {{n}} {_COIN} and {{c}} cents. How many cents is that?",
        ),
        draw_slots=_draw_coins,
        solve=_solve_coins,
    ),
    PhrasedFamily(
        name="dozens",
        subject="units",
        kind="worked",
        size=11 * 59 * len(THINGS),
        phrasings=phrasings(
            "How many {thing:many} are {n} dozen {thing:many} and {c} more?",
            "A box holds {n} dozen {thing:many} and a bag {c}. How many {thing:many} is that?",
            "Count {n} dozen {thing:many} and {c} {thing:many}.",
            "What number of {thing:many} do {n} dozen and {c} more make?",
        ),
        draw_slots=_draw_dozens,
        solve=_solve_dozens,
    ),
)
