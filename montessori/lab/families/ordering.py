"""Putting words in another order."""

from __future__ import annotations

from random import Random

from montessori.lab.phrasing import Slots, join_items, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, short_solution
from montessori.lab.words import WORDS


def _draw_words(rng: Random) -> Slots:
    return {"ws": tuple(rng.sample(WORDS, rng.randint(3, 4)))}


def _solve_reverse(ws: tuple[str, ...]) -> Solution:
    return short_solution(join_items(reversed(ws)), ws)


ORDERING = (
    PhrasedFamily(
        name="reverse_list",
        subject="ordering",
        kind="short",
        size=len(WORDS) * (len(WORDS) - 1) * (len(WORDS) - 2),  # the lists of three alone
        phrasings=make_phrasings(
            "Reverse this list: {ws:words}.",
            "Write {ws:words} in reverse order.",
            "Say these words from last to first: {ws:words}.",
            "Turn the list {ws:words} around.",
        ),
        draw_slots=_draw_words,
        solve=_solve_reverse,
    ),
)
