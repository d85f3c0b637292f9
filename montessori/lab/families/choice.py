"""Multiple choice over families whose answers are numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from montessori.lab.families.arithmetic import ARITHMETIC
from montessori.lab.families.comparison import COMPARISON
from montessori.lab.families.units import UNITS
from montessori.lab.families.word_problems import WORD_PROBLEMS
from montessori.lab.phrasing import LONGEST_TEXT
from montessori.lab.task import Family, FamilyIndex, PhrasedFamily, Recognised, Task, Turn

LETTERS = "ABCD"
_LEADS = ("", "Choose the right answer. ", "Pick A, B, C or D. ", "Only one is right. ")
_INTEGER = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, kw_only=True)
class ChoiceFamily(Family):
    """Questions of the inner families with four choices, one of them right.

    The key is that of the question after `name/`, so that both lie in one bucket.
    """

    inner: tuple[PhrasedFamily, ...]

    def make_task(self, rng: Random) -> Task:
        """Return a random task."""
        question = rng.choice(self.inner).make_task(rng)
        choices = [question.turns[0].answer, *draw_distractors(question, rng)[: len(LETTERS) - 1]]
        rng.shuffle(choices)
        return self._task(question, _write(question, choices, rng), tuple(choices))

    def recognise_task(self, turns: Sequence[str]) -> Recognised:
        """Return the task behind the turns, or None."""
        if len(turns) != 1 or len(turns[0]) > LONGEST_TEXT:
            return None
        text = turns[0].strip()
        read = _read(text)
        if read is None:
            return None
        asked, choices = read
        for lead in _LEADS:
            if lead not in asked:
                continue
            question = self._index.recognise_task(asked.removeprefix(lead))
            if question is not None and question.turns[0].answer in choices:
                return self._task(question, text, choices)
        return None

    @cached_property
    def _index(self) -> FamilyIndex:
        return FamilyIndex(self.inner)

    def _task(self, question: Task, text: str, choices: tuple[str, ...]) -> Task:
        answer = question.turns[0].answer
        letter = LETTERS[choices.index(answer)]
        turn = Turn(text, f"{letter}. {answer}", letter)
        return Task(self.name, f"{self.name}/{question.key}", (turn,), choices, self.subject)


def _write(question: Task, choices: Sequence[str], rng: Random) -> str:
    lines = [rng.choice(_LEADS) + question.turns[0].instruction]
    lines += [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True)]
    return "\n".join(lines)


def _read(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the question and its four different choices, or None."""
    question, *lines = (line.strip() for line in text.split("\n"))
    if len(lines) != len(LETTERS):
        return None
    if any(not line.startswith(f"{x}. ") for x, line in zip(LETTERS, lines, strict=True)):
        return None
    choices = tuple(line[3:].strip() for line in lines)
    return (question, choices) if len(set(choices)) == len(choices) else None


def draw_distractors(question: Task, rng: Random) -> list[str]:
    """Return three or more wrong but plausible answers, in random order."""
    turn = question.turns[0]
    # Sorted before the shuffle, because the order of a set of strings differs between processes.
    wrong = sorted({text for text in _near_numbers(turn) if text != turn.answer})
    rng.shuffle(wrong)
    return wrong


def _near_numbers(turn: Turn) -> Iterator[str]:
    """Yield slips: off by one, two or ten, another operation, a number of the question."""
    answer = int(turn.answer)
    candidates = [answer + slip for slip in (-10, -2, -1, 1, 2, 10)]
    given = [int(number) for number in _INTEGER.findall(turn.instruction)]
    if len(given) >= 2:
        candidates += [given[0] + given[1], abs(given[0] - given[1]), max(given)]
    yield from (str(number) for number in candidates if number >= 0)


def _choice_family(
    subject: str, name: str, families: Sequence[PhrasedFamily], inner: str
) -> ChoiceFamily:
    """Return the choice family over the families named in `inner`."""
    by_name = {family.name: family for family in families}
    chosen = tuple(by_name[each] for each in inner.split())
    return ChoiceFamily(
        name=name,
        subject=subject,
        kind="choice",
        size=sum(family.size for family in chosen),  # one task a question, at least
        inner=chosen,
    )


CHOICE = (
    _choice_family("arithmetic", "choice_arithmetic", ARITHMETIC, "add subtract"),
    _choice_family("comparison", "choice_comparison", COMPARISON, "larger smaller"),
    _choice_family("units", "choice_units", UNITS, "metres dollars"),
    _choice_family(
        "stories",
        "choice_stories",
        WORD_PROBLEMS,
        "story_add story_subtract story_groups",
    ),
)
