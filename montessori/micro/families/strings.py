"""Work on the letters of words, real and invented."""

from __future__ import annotations

from random import Random

from montessori.micro.phrasing import Slots, phrasings
from montessori.micro.task import PhrasedFamily, Solution, short
from montessori.micro.words import WORDS, any_word

INVENTED_WORDS = 50_000  # of five letters, at least; a test counts them
_PLACES = ("first", "second", "third", "fourth", "fifth")


def _draw_word(rng: Random) -> Slots:
    return {"w": any_word(rng, 3, 6)}


def _draw_short_word(rng: Random) -> Slots:
    return {"w": any_word(rng, 3, 5)}


def _draw_long_word(rng: Random) -> Slots:
    return {"w": any_word(rng, 3, 8)}


def _draw_end(rng: Random) -> Slots:
    return {"end": rng.choice(("first", "last")), "w": any_word(rng, 3, 6)}


def _draw_repeat(rng: Random) -> Slots:
    return {"w": any_word(rng, 3, 5), "n": rng.randint(2, 5)}


def _draw_place(rng: Random) -> Slots:
    words = rng.sample(WORDS, rng.randint(3, 5))
    return {"nth": rng.choice(_PLACES[: len(words)]), "ws": tuple(words)}


def _draw_two(rng: Random) -> Slots:
    a, b = rng.sample(WORDS, 2)
    return {"a": a, "b": b}


def spell(word: str) -> str:
    """Return the letters of a word with hyphens between them."""
    return "-".join(word)


def _solve_spell(w: str) -> Solution:
    return short(spell(w), w)


def _solve_reverse(w: str) -> Solution:
    return short(w[::-1], w)


def _solve_count(w: str) -> Solution:
    return short(len(w), w)


def _solve_end(end: str, w: str) -> Solution:
    return short(w[0] if end == "first" else w[-1], end, w)


def _solve_repeat(w: str, n: int) -> Solution | None:
    return short(" ".join([w] * n), w, n) if 1 <= n <= 10 else None


def _solve_upper(w: str) -> Solution:
    return short(w.upper(), w)


def _solve_place(nth: str, ws: tuple[str, ...]) -> Solution | None:
    place = _PLACES.index(nth)
    return short(ws[place], nth, ws) if place < len(ws) else None


def _solve_join(a: str, b: str) -> Solution:
    return short(a + b, a, b)


_NTH = "{nth:" + "|".join(_PLACES) + "}"

STRINGS = (
    PhrasedFamily(
        name="spell",
        subject="strings",
        kind="short",
        size=INVENTED_WORDS,
        phrasings=phrasings(
            "Spell the word {w:word} with hyphens.",
            "Spell {w:word} with a hyphen between the letters.",
            "How do you spell {w:word}, letter by letter?",
            "Write {w:word} with hyphens between its letters.",
        ),
        draw_slots=_draw_word,
        solve=_solve_spell,
    ),
    PhrasedFamily(
        name="reverse_word",
        subject="strings",
        kind="short",
        size=INVENTED_WORDS,
        phrasings=phrasings(
            "Write the word {w:word} backwards.",
            "Reverse the letters of {w:word}.",
            "What is {w:word} spelled backwards?",
            "Turn the word {w:word} around.",
            "Read {w:word} from right to left.",
        ),
        draw_slots=_draw_short_word,
        solve=_solve_reverse,
    ),
    PhrasedFamily(
        name="count_letters",
        subject="strings",
        kind="short",
        size=INVENTED_WORDS,
        phrasings=phrasings(
            "How many letters are in the word {w:word}?",
            "How many letters does {w:word} have?",
            "Count the letters in {w:word}.",
            "How long is the word {w:word}?",
        ),
        draw_slots=_draw_long_word,
        solve=_solve_count,
    ),
    PhrasedFamily(
        name="end_letter",
        subject="strings",
        kind="short",
        size=2 * INVENTED_WORDS,
        phrasings=phrasings(
            "What is the {end:first|last} letter of {w:word}?",
            "Which letter comes {end:first|last} in the word {w:word}?",
            "Give the {end:first|last} letter of the word {w:word}.",
            "Name the {end:first|last} letter in {w:word}.",
        ),
        draw_slots=_draw_end,
        solve=_solve_end,
    ),
    PhrasedFamily(
        name="repeat_word",
        subject="strings",
        kind="short",
        size=4 * INVENTED_WORDS,
        phrasings=phrasings(
            "Write the word {w:word} {n} times.",
            "Repeat {w:word} {n} times.",
            "Say {w:word} {n} times in a row.",
            "Copy the word {w:word} {n} times.",
        ),
        draw_slots=_draw_repeat,
        solve=_solve_repeat,
    ),
    PhrasedFamily(
        name="uppercase",
        subject="strings",
        kind="short",
        size=INVENTED_WORDS,
        phrasings=phrasings(
            "Write {w:word} in capital letters.",
            "Put the word {w:word} in upper case.",
            "Change {w:word} to capitals.",
            "How does {w:word} look in capital letters?",
        ),
        draw_slots=_draw_word,
        solve=_solve_upper,
    ),
    PhrasedFamily(
        name="nth_word",
        subject="strings",
        kind="short",
        size=len(WORDS) * (len(WORDS) - 1) * (len(WORDS) - 2),
        phrasings=phrasings(
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
        phrasings=phrasings(
            "Join the words {a:word} and {b:word} into one.",
            "Put {a:word} and {b:word} together as one word.",
            "Write {a:word} and {b:word} without a space.",
            "What word do {a:word} and {b:word} make when joined?",
        ),
        draw_slots=_draw_two,
        solve=_solve_join,
    ),
)
