"""Writing, picking and joining words, real and invented."""

from __future__ import annotations

from random import Random

from montessori.lab.phrasing import Slots, make_phrasings
from montessori.lab.task import PhrasedFamily, Solution, short_solution
from montessori.lab.words import WORDS, any_word

INVENTED_WORDS = 50_000  # of five letters, at least; a test counts them
_PLACES = ("first", "second", "third", "fourth", "fifth")


def _draw_repeat(rng: Random) -> Slots:
    return {"w": any_word(rng, 3, 5), "n": rng.randint(2, 5)}


def _draw_place(rng: Random) -> Slots:
    words = rng.sample(WORDS, rng.randint(3, 5))
    return {"nth": rng.choice(_PLACES[: len(words)]), "ws": tuple(words)}


def _draw_two(rng: Random) -> Slots:
    a, b = rng.sample(WORDS, 2)
    return {"a": a, "b": b}


def _solve_repeat(w: str, n: int) -> Solution | None:
    return short_solution(" ".join([w] * n), w, n) if 1 <= n <= 10 else None


def _solve_place(nth: str, ws: tuple[str, ...]) -> Solution | None:
    place = _PLACES.index(nth)
    return short_solution(ws[place], nth, ws) if place < len(ws) else None


def _solve_join(a: str, b: str) -> Solution:
    return short_solution(a + b, a, b)


_NTH = "{nth:" + "|".join(_PLACES) + "}"

STRINGS = (
    PhrasedFamily(
        name="repeat_word",
        subject="strings",
        kind="short",
        size=4 * INVENTED_WORDS,  # two to five times
        phrasings=make_phrasings(
            "Write the word {w:word} {n} times.",
            "Repeat {w:word} {n} times.",
            "Say {w:word} {n} times in a row.",
            "Copy the word {w:word} {n} times.",
        ),
        draw_slots=_draw_repeat,
        solve=_solve_repeat,
    ),
    PhrasedFamily(
        name="nth_word",
        subject="strings",
        kind="short",
        size=3 * len(WORDS) * (len(WORDS) - 1) * (len(WORDS) - 2),  # the lists of three alone
        phrasings=make_phrasings(
            f"What is the {_NTH} word in this list: {{ws:words}}?",
            f"Which word comes {_NTH} in {{ws:words}}?",
            f"Pick the {_NTH} word: {{ws:words}}.",
            f"Give the {_NTH} word of {{ws:words}}.",
        ),
        draw_slots=_draw_place,
        solve=_solve_place,
    ),
    PhrasedFamily(
        name="join_words",
        subject="strings",
        kind="short",
        size=len(WORDS) * (len(WORDS) - 1),
        phrasings=make_phrasings(
            "Join the words {a:word} and {b:word} into one.",
            "Put {a:word} and {b:word} together as one word.",
            "Write {a:word} and {b:word} without a space.",
            "What word do {a:word} and {b:word} make when joined?",
        ),
        draw_slots=_draw_two,
        solve=_solve_join,
    ),
)
