"""Putting numbers and words in order."""

from __future__ import annotations

from random import Random

from montessori.micro.phrasing import Slots, join, phrasings
from montessori.micro.task import PhrasedFamily, Solution, short
from montessori.micro.words import WORDS


def _draw_numbers(rng: Random) -> Slots:
    return {"xs": tuple(rng.sample(range(100), rng.randint(3, 5)))}


def _draw_words(rng: Random) -> Slots:
    return {"ws": tuple(rng.sample(WORDS, rng.randint(3, 4)))}


def _solve_up(xs: tuple[int, ...]) -> Solution:
    return short(join(sorted(xs)), tuple(sorted(xs)))


def _solve_down(xs: tuple[int, ...]) -> Solution:
    return short(join(sorted(xs, reverse=True)), tuple(sorted(xs)))


def _solve_alphabet(ws: tuple[str, ...]) -> Solution:
    return short(join(sorted(ws)), tuple(sorted(ws)))


def _solve_reverse(ws: tuple[str, ...]) -> Solution:
    return short(join(reversed(ws)), ws)


_NUMBER_SETS = 100 * 99 * 98 // 6  # the lists of three alone
_WORD_SETS = len(WORDS) * (len(WORDS) - 1) * (len(WORDS) - 2) // 6

ORDERING = (
    PhrasedFamily(
        name="sort_up",
        subject="ordering",
        kind="short",
        size=_NUMBER_SETS,
        phrasings=phrasings(
            "Sort these numbers from smallest to largest: {xs:numbers}.",
            "Put {xs:numbers} in increasing order.",
            "Order {xs:numbers} from low to high.",
            "Write {xs:numbers} in ascending order.",
            "Arrange these numbers, smallest first: {xs:numbers}.",
        ),
        draw_slots=_draw_numbers,
        solve=_solve_up,
    ),
    PhrasedFamily(
        name="sort_down",
        subject="ordering",
        kind="short",
        size=_NUMBER_SETS,
        phrasings=phrasings(
            "Sort these numbers from largest to smallest: {xs:numbers}.",
            "Put {xs:numbers} in decreasing order.",
            "Order {xs:numbers} from high to low.",
            "Write {xs:numbers} in descending order.",
            "Arrange these numbers, largest first: {xs:numbers}.",
        ),
        draw_slots=_draw_numbers,
        solve=_solve_down,
    ),
    PhrasedFamily(
        name="sort_words",
        subject="ordering",
        kind="short",
        size=_WORD_SETS,
        phrasings=phrasings(
            "Sort these words alphabetically: {ws:words}.",
            "Put {ws:words} in alphabetical order.",
            "Write these words from A to Z: {ws:words}.",
            "In which order does a dictionary list {ws:words}?",
        ),
        draw_slots=_draw_words,
        solve=_solve_alphabet,
    ),
    PhrasedFamily(
        name="reverse_list",
        subject="ordering",
        kind="short",
        size=6 * _WORD_SETS,
        phrasings=phrasings(
            "Reverse this list: {ws:words}.",
            "Write {ws:words} in reverse order.",
            "Say these words from last to first: {ws:words}.",
            "Turn the list {ws:words} around.",
        ),
        draw_slots=_draw_words,
        solve=_solve_reverse,
    ),
)
