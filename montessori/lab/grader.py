"""Recognises tasks in freely written text and grades responses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from montessori.lab.families import FAMILIES
from montessori.lab.families.choice import LETTERS
from montessori.lab.phrasing import LONGEST_TEXT
from montessori.lab.task import (
    FINAL,
    Family,
    FamilyIndex,
    PhrasedFamily,
    Recognised,
    Task,
    Turn,
)

RIGHT = 1.0
RIGHT_BY_WRONG_STEPS = 0.8
RIGHT_IN_WRONG_FORMAT = 0.5  # a worked response whose last number is right, without `#### n`
WRONG_IN_RIGHT_FORMAT = 0.3
ATTEMPT = 0.1
NOTHING = 0.0

LONGEST_RESPONSE = 2000  # characters; a longer response is at most an attempt

_EDGES = " \t\r\n.,;:!?\"'`()[]"
_FINAL_LINE = re.compile(r"#### ?([0-9]{1,9})\.?")
_EQUATION = re.compile(r"([0-9]{1,9}) ?([-+x*/]) ?([0-9]{1,9}) ?= ?([0-9]{1,9})")
_NUMBER = re.compile(r"[0-9]+")
_RUNS = re.compile(r"([0a])(?:([ ,]{1,2})\1)(?:\2\1)*")
_LETTER_AND_TEXT = re.compile(r"\(?([A-Da-d])(?:[.):] ?|\Z)(.*)", re.DOTALL)

Equation = tuple[str, tuple[str, ...], str]


@dataclass(frozen=True)
class Grade:
    """How good the responses to a task are.

    `correct` has one entry per turn. `quality` in [0, 1] is the mean over the turns, with
    partial credit. `flexible` also accepts a worked response by its last number.
    """

    correct: tuple[bool, ...]
    quality: float
    flexible: tuple[bool, ...] = ()


def recognise_task(turns: Sequence[str]) -> Recognised:
    """Return the task behind freely written instructions, with gold answers, or None."""
    if not turns or any(len(text) > LONGEST_TEXT for text in turns):
        return None
    # A multiple-choice question has a line for each choice and a dialogue two turns, so one line
    # can only be a phrased task, and the index finds those fast.
    if len(turns) == 1 and "\n" not in turns[0].strip():
        return _single_turns().recognise_task(turns[0])
    found = (family.recognise_task(turns) for family in _compound_families())
    return next((task for task in found if task is not None), None)


@cache
def _single_turns() -> FamilyIndex:
    return FamilyIndex(f for f in FAMILIES.values() if isinstance(f, PhrasedFamily))


@cache
def _compound_families() -> tuple[Family, ...]:
    """The multiple-choice and dialogue families."""
    return tuple(f for f in FAMILIES.values() if not isinstance(f, PhrasedFamily))


def grade_responses(task: Task, responses: Sequence[str]) -> Grade:
    """Grade one response per turn; a missing response counts as empty. Never raises."""
    given = [*responses, *[""] * len(task.turns)][: len(task.turns)]
    marks = [
        _grade_response(task, turn, text) for turn, text in zip(task.turns, given, strict=True)
    ]
    return Grade(
        # A right final answer counts as correct even if the steps differ from the gold ones.
        correct=tuple(mark >= RIGHT_BY_WRONG_STEPS for mark in marks),
        quality=sum(marks) / len(marks),
        flexible=tuple(mark >= RIGHT_IN_WRONG_FORMAT for mark in marks),
    )


def _grade_response(task: Task, turn: Turn, text: str) -> float:
    """Return the quality of one response."""
    if not any(char.isalnum() for char in text[:LONGEST_RESPONSE]):
        return NOTHING
    if len(text) > LONGEST_RESPONSE:
        return ATTEMPT
    if task.choices:
        return _mark_choice(task.choices, turn, text)
    if FINAL in turn.response:
        return _mark_worked(turn, text)
    return _mark_short(turn, text)


def _mark_short(turn: Turn, text: str) -> float:
    if strip_punctuation(text) == strip_punctuation(turn.answer):
        return RIGHT
    return WRONG_IN_RIGHT_FORMAT if _text_shape(text) == _text_shape(turn.answer) else ATTEMPT


def strip_punctuation(text: str) -> str:
    """Return the text without outer punctuation and spare white space, in lower case."""
    return " ".join(text.strip(_EDGES).split()).casefold()


def _text_shape(text: str) -> str:
    """Return the form of a text: `4, 7, 10` is `0, 0`, `sun` is `a`."""
    letters = re.sub(r"[^\W\d_]+", "a", strip_punctuation(text))
    # A list of any length has the shape of a list of two.
    return _RUNS.sub(r"\1\2\1", _NUMBER.sub("0", letters))


def _mark_worked(turn: Turn, text: str) -> float:
    *lines, last = text.strip().split("\n")
    final = _FINAL_LINE.fullmatch(last.strip())
    # With two final lines, a response could state two answers and be right by either.
    if final is None or any(FINAL in line for line in lines):
        numbers = _NUMBER.findall(text)
        right = bool(numbers) and _ends_with_number(text) and numbers[-1] == turn.answer
        return RIGHT_IN_WRONG_FORMAT if right else ATTEMPT
    if final[1] != turn.answer:
        return WRONG_IN_RIGHT_FORMAT
    # Compared as counts, not in order: a right calculation may take its steps in another order.
    gold = turn.response.split("\n")[:-1]
    return RIGHT if _find_equations(lines) == _find_equations(gold) else RIGHT_BY_WRONG_STEPS


def _ends_with_number(text: str) -> bool:
    return text.rstrip(_EDGES)[-1:].isdigit()


def _find_equations(lines: Sequence[str]) -> Counter[Equation | str]:
    """Return the equations, alike for `7 + 12 = 19` and `12 + 7 = 19`, in any order."""
    return Counter(_sorted_equation(line.strip()) for line in lines if line.strip())


def _sorted_equation(line: str) -> Equation | str:
    match = _EQUATION.fullmatch(line)
    if match is None:
        return line
    left, sign, right, result = match.groups()
    sign = "x" if sign == "*" else sign
    sides = tuple(sorted((left, right))) if sign in "+x" else (left, right)
    return sign, sides, result


def _mark_choice(choices: Sequence[str], turn: Turn, text: str) -> float:
    """Accept the letter, the text of the choice, or both where they agree."""
    picked = _picked_letter(choices, text)
    if picked is None:
        return ATTEMPT
    return RIGHT if picked == turn.answer else WRONG_IN_RIGHT_FORMAT


def _picked_letter(choices: Sequence[str], text: str) -> str | None:
    """Return the letter of the choice that the text names, or None."""
    bare = strip_punctuation(text)
    texts = {strip_punctuation(choice): x for x, choice in zip(LETTERS, choices, strict=False)}
    if bare in texts:
        return texts[bare]
    match = _LETTER_AND_TEXT.fullmatch(text.strip())
    if match is None:
        return None
    letter, rest = match[1].upper(), strip_punctuation(match[2])
    return letter if not rest or texts.get(rest) == letter else None
