"""Small facts to know by heart; trained on, never evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from montessori.lab.phrasing import Slots, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, short_solution
from montessori.lab.words import CAPITALS, DAYS, MONTHS, OPPOSITES, YOUNG

_OPPOSITE = dict(OPPOSITES) | {b: a for a, b in OPPOSITES}


def _fact_family(name: str, answers: Mapping[str, str], *templates: str) -> PhrasedFamily:
    """Return a family that asks what `answers` holds for the slot `x`."""

    def draw(rng: Random) -> Slots:
        return {"x": rng.choice(list(answers))}

    def solve(x: str) -> Solution | None:
        return short_solution(answers[x], x) if x in answers else None

    return _slot_family(name, len(answers), templates, draw, solve)


def _calendar_family(name: str, cycle: Sequence[str], *templates: str) -> PhrasedFamily:
    """Return a family that asks what comes before or after the slot `x` in a cycle."""

    def draw(rng: Random) -> Slots:
        return {"x": rng.choice(cycle), "side": rng.choice(("after", "before"))}

    def solve(x: str, side: str) -> Solution | None:
        if x not in cycle:
            return None
        step = 1 if side == "after" else -1
        return short_solution(cycle[(cycle.index(x) + step) % len(cycle)], side, x)

    return _slot_family(name, 2 * len(cycle), templates, draw, solve)


def _slot_family(
    name: str,
    size: int,
    templates: Sequence[str],
    draw: Callable[[Random], Slots],
    solve: Callable[..., Solution | None],
) -> PhrasedFamily:
    return PhrasedFamily(
        name=name,
        subject="knowledge",
        kind="short",
        evaluated=False,
        size=size,
        phrasings=make_phrasings(*templates),
        draw_slots=draw,
        solve=solve,
    )


KNOWLEDGE = (
    _fact_family(
        "capitals",
        CAPITALS,
        "What is the capital of {x:name}?",
        "Name the capital city of {x:name}.",
        "Which city is the capital of {x:name}?",
        "Tell me the capital of {x:name}.",
    ),
    _fact_family(
        "animal_young",
        YOUNG,
        "What is a baby {x:word} called?",
        "What do you call a young {x:word}?",
        "Name the young of a {x:word}.",
        "What is the word for a baby {x:word}?",
    ),
    _fact_family(
        "opposites",
        _OPPOSITE,
        "What is the opposite of {x:word}?",
        "Name the opposite of {x:word}.",
        "Which word means the opposite of {x:word}?",
        "Give a word that is the opposite of {x:word}.",
    ),
    _calendar_family(
        "days",
        DAYS,
        "What day comes {side:after|before} {x:name}?",
        "Which day is right {side:after|before} {x:name}?",
        "Name the day {side:after|before} {x:name}.",
        "What is the day just {side:after|before} {x:name}?",
    ),
    _calendar_family(
        "months",
        MONTHS,
        "What month comes {side:after|before} {x:name}?",
        "Which month is right {side:after|before} {x:name}?",
        "Name the month {side:after|before} {x:name}.",
        "What is the month just {side:after|before} {x:name}?",
    ),
)
