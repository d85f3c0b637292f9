"""Short stories with one, two or three steps."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from montessori.lab.phrasing import Slots, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, worked_solution
from montessori.lab.words import NAMES, THINGS


def _draw_cast(rng: Random) -> Slots:
    """Return two different names and a thing."""
    name, other = rng.sample(NAMES, 2)
    return {"name": name, "other": other, "thing": rng.choice(THINGS)}


def _draw_add(rng: Random) -> Slots:
    return _draw_cast(rng) | {"a": rng.randint(2, 49), "b": rng.randint(2, 49)}


def _solve_add(a: int, b: int, thing: str, **_: str) -> Solution | None:
    return worked_solution(a, ("+", b), content=(*sorted((a, b)), thing))


def _draw_subtract(rng: Random) -> Slots:
    a = rng.randint(5, 60)
    return _draw_cast(rng) | {"a": a, "b": rng.randint(2, a - 2)}


def _solve_subtract(a: int, b: int, thing: str, **_: str) -> Solution | None:
    return worked_solution(a, ("-", b), content=(a, b, thing))


def _draw_groups(rng: Random) -> Slots:
    return _draw_cast(rng) | {"a": rng.randint(2, 9), "b": rng.randint(2, 40)}


def _solve_groups(a: int, b: int, thing: str, **_: str) -> Solution | None:
    return worked_solution(a, ("x", b), content=(a, b, thing))


def _draw_gain_loss(rng: Random) -> Slots:
    a, b = rng.randint(2, 40), rng.randint(2, 40)
    return _draw_cast(rng) | {"a": a, "b": b, "c": rng.randint(2, a + b - 1)}


def _solve_gain_loss(a: int, b: int, c: int, thing: str, **_: str) -> Solution | None:
    return worked_solution(a, ("+", b), ("-", c), content=(a, b, c, thing))


def _draw_groups_more(rng: Random) -> Slots:
    return _draw_small_groups(rng) | {"c": rng.randint(2, 40)}


def _solve_groups_more(a: int, b: int, c: int, thing: str, **_: str) -> Solution | None:
    return worked_solution(a, ("x", b), ("+", c), content=(a, b, c, thing))


def _draw_groups_left(rng: Random) -> Slots:
    slots = _draw_small_groups(rng)
    return slots | {"c": rng.randint(2, slots["a"] * slots["b"] - 1)}


def _draw_small_groups(rng: Random) -> Slots:
    return _draw_cast(rng) | {"a": rng.randint(2, 9), "b": rng.randint(2, 12)}


def _solve_groups_left(a: int, b: int, c: int, thing: str, **_: str) -> Solution | None:
    return worked_solution(a, ("x", b), ("-", c), content=(a, b, c, thing))


def _draw_groups_more_left(rng: Random) -> Slots:
    slots = _draw_groups_more(rng)
    return slots | {"d": rng.randint(2, slots["a"] * slots["b"] + slots["c"] - 1)}


def _solve_groups_more_left(
    a: int, b: int, c: int, d: int, thing: str, **_: str
) -> Solution | None:
    return worked_solution(a, ("x", b), ("+", c), ("-", d), content=(a, b, c, d, thing))


def _story_family(
    name: str,
    size: int,
    draw: Callable[[Random], Slots],
    solve: Callable[..., Solution | None],
    *templates: str,
) -> PhrasedFamily:
    """Return a family of stories; a story whose two people share a name is none."""

    def solve_cast(**slots: Any) -> Solution | None:
        # Wordings with one person lack `other`; the default "" never equals a name.
        return solve(**slots) if slots.get("name") != slots.get("other", "") else None

    return PhrasedFamily(
        name=name,
        subject="stories",
        kind="worked",
        size=size,
        phrasings=make_phrasings(*templates),
        draw_slots=draw,
        solve=solve_cast,
    )


_KINDS = len(THINGS)

WORD_PROBLEMS = (
    _story_family(
        "story_add",
        48 * 49 // 2 * _KINDS,  # two numbers of 2 to 49 in any order
        _draw_add,
        _solve_add,
        "{name:name} has {a} {thing:many} and buys {b} more."
        " How many {thing:many} does {name:name} have now?",
        "There are {a} {thing:many} in a box. {name:name} puts in {b} more."
        " How many {thing:many} are in the box now?",
        "{name:name} found {a} {thing:many} in the morning and {b} in the afternoon."
        " How many {thing:many} did {name:name} find?",
        "{name:name} has {a} {thing:many}. {other:name} gives {name:name} {b} more."
        " How many {thing:many} does {name:name} have now?",
        "A shop sold {a} {thing:many} on Monday and {b} on Tuesday."
        " How many {thing:many} did it sell?",
    ),
    _story_family(
        "story_subtract",
        (57 * 58 // 2 - 1) * _KINDS,  # a - 3 differences of 2 and more for a from 5 to 60
        _draw_subtract,
        _solve_subtract,
        "{name:name} has {a} {thing:many} and gives away {b}."
        " How many {thing:many} does {name:name} have left?",
        "There were {a} {thing:many} on a table. {name:name} took {b} of them."
        " How many {thing:many} are left?",
        "{name:name} had {a} {thing:many} but lost {b}. How many {thing:many} are left?",
        "A shop had {a} {thing:many} and sold {b}. How many {thing:many} remain?",
        "{name:name} wants {a} {thing:many} and has {b}."
        " How many more {thing:many} does {name:name} need?",
    ),
    _story_family(
        "story_groups",
        8 * 39 * _KINDS,
        _draw_groups,
        _solve_groups,
        "{name:name} has {a} bags with {b} {thing:many} each."
        " How many {thing:many} does {name:name} have?",
        "There are {a} rows of {b} {thing:many}. How many {thing:many} are there?",
        "{name:name} gets {b} {thing:many} a day for {a} days."
        " How many {thing:many} does {name:name} get?",
        "Each of {a} children brings {b} {thing:many}. How many {thing:many} do they bring?",
    ),
    _story_family(
        "story_gain_loss",
        39 * 39 * 40 * _KINDS,  # a + b is 42 on average, and c has a + b - 2 values
        _draw_gain_loss,
        _solve_gain_loss,
        "{name:name} has {a} {thing:many}, buys {b} more and gives away {c}."
        " How many {thing:many} does {name:name} have now?",
        "{name:name} picked {a} {thing:many} and then {b} more. {other:name} took {c} of them."
        " How many {thing:many} are left?",
        "A shop had {a} {thing:many}, got {b} more and sold {c}."
        " How many {thing:many} does the shop have now?",
        "There were {a} {thing:many} in a bag. {name:name} added {b} and took out {c}."
        " How many {thing:many} are in the bag?",
    ),
    _story_family(
        "story_groups_more",
        8 * 11 * 39 * _KINDS,
        _draw_groups_more,
        _solve_groups_more,
        "{name:name} has {a} bags of {b} {thing:many} and finds {c} more."
        " How many {thing:many} does {name:name} have now?",
        "There are {a} boxes with {b} {thing:many} each and {c} {thing:many} on the floor."
        " How many {thing:many} are there?",
        "{name:name} buys {a} packs of {b} {thing:many}. {other:name} brings {c} more."
        " How many {thing:many} do they have?",
        "A farm fills {a} baskets with {b} {thing:many} each and has {c} over."
        " How many {thing:many} does the farm have?",
    ),
    _story_family(
        "story_groups_left",
        (44 * 77 - 2 * 88) * _KINDS,  # c has a b - 2 values; the sums of a and b are 44 and 77
        _draw_groups_left,
        _solve_groups_left,
        "{name:name} has {a} bags of {b} {thing:many} and gives away {c} {thing:many}."
        " How many {thing:many} are left?",
        "There are {a} boxes with {b} {thing:many} each. {name:name} takes {c} {thing:many}."
        " How many {thing:many} remain?",
        "{name:name} buys {a} packs of {b} {thing:many} and loses {c} {thing:many}."
        " How many {thing:many} does {name:name} have now?",
        "A shop gets {a} trays of {b} {thing:many} and sells {c}."
        " How many {thing:many} does the shop have left?",
    ),
    _story_family(
        "story_groups_more_left",
        8 * 11 * 39 * 4 * _KINDS,  # d has four values at least
        _draw_groups_more_left,
        _solve_groups_more_left,
        "{name:name} has {a} bags of {b} {thing:many}, finds {c} more and gives away {d}."
        " How many {thing:many} does {name:name} have now?",
        "There are {a} boxes with {b} {thing:many} each. {name:name} adds {c} and sells {d}."
        " How many {thing:many} are left?",
        "{name:name} buys {a} packs of {b} {thing:many}. {other:name} brings {c} and takes {d}."
        " How many {thing:many} remain?",
        "A farm fills {a} baskets with {b} {thing:many} each, gets {c} more and sells {d}."
        " How many {thing:many} are left?",
    ),
)
