"""What a task and a family of tasks are, and how tasks are split."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from montessori.lab.phrasing import Phrasing, PhrasingIndex, Slots

Kind = Literal["short", "worked", "choice", "dialogue"]
Bucket = Literal["train", "reference", "dev", "test"]

BUCKETS: tuple[Bucket, ...] = ("train", "reference", "dev", "test")
FINAL = "####"  # stands before the final answer of a worked response
DRILL = "drill/"  # begins the keys of families that are only trained on
DRAW_LIMIT = 1000  # attempts; a bucket holds >= 12 % of the keys, so this fails by bug only

_BUCKET_ENDS = (64, 76, 88, 100)  # percent of the keys, cumulative


@dataclass(frozen=True)
class Turn:
    """One instruction with its gold response.

    `response` is the gold text; `answer` is the canonical short answer within it.
    """

    instruction: str
    response: str
    answer: str


@dataclass(frozen=True)
class Task:
    """One task: its family, its content and its turns.

    `key` is the content whatever the wording; splits and duplicates go by it.
    """

    family: str
    key: str
    turns: tuple[Turn, ...]
    choices: tuple[str, ...] = ()
    subject: str = ""


Recognised = Task | None  # the task behind freely written text, or None


@dataclass(frozen=True)
class Solution:
    """What slots ask for: the content of the task, its answer, its gold response."""

    content: tuple[object, ...]
    answer: str
    response: str


def short_solution(answer: object, *content: object) -> Solution:
    """Return a solution whose response is the bare answer."""
    return Solution(content, str(answer), str(answer))


def worked_solution(
    start: int, *moves: tuple[str, int], content: Sequence[object]
) -> Solution | None:
    """Return a solution that applies each move, such as `("+", 7)`, to the last result.

    One equation per line, then `#### n`; None where a result is negative.
    """
    lines, value = [], start
    for sign, number in moves:
        result = apply_sign(value, sign, number)
        if result is None:
            return None
        lines.append(f"{value} {sign} {number} = {result}")
        value = result
    return Solution(tuple(content), str(value), "\n".join([*lines, f"{FINAL} {value}"]))


def apply_sign(left: int, sign: str, right: int) -> int | None:
    """Return `left sign right` (+ - x), or None where it is negative."""
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right if left >= right else None
    if sign == "x":
        return left * right
    raise ValueError(f"unknown sign {sign!r}; expected one of + - x")


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """A kind of task.

    `size` is a lower bound of the number of distinct keys. A family that is not
    `evaluated` lies wholly in the train bucket.
    """

    name: str
    subject: str
    kind: Kind
    size: int
    evaluated: bool = True

    @abstractmethod
    def make_task(self, rng: random.Random) -> Task:
        """Return a random task."""

    @abstractmethod
    def recognise_task(self, turns: Sequence[str]) -> Recognised:
        """Return the task behind freely written instructions, with gold answers, or None."""


@dataclass(frozen=True, kw_only=True)
class PhrasedFamily(Family):
    """A family of one turn: phrasings, random slots, and the solution of slots.

    `solve` takes the slots as keywords and returns None where they make no sense.
    """

    phrasings: tuple[Phrasing, ...]
    draw_slots: Callable[[random.Random], Slots]
    solve: Callable[..., Solution | None]

    def make_task(self, rng: random.Random) -> Task:
        """Return a random task; ValueError where the drawn slots have no solution."""
        slots = self.draw_slots(rng)
        task = self.task_with(rng.choice(self.phrasings).render(slots), slots)
        if task is None:
            raise ValueError(f"family {self.name} drew slots that it cannot solve: {slots}")
        return task

    def recognise_task(self, turns: Sequence[str]) -> Recognised:
        """Return the task of this family behind one instruction, or None."""
        if len(turns) != 1:
            return None
        text = turns[0].strip()
        for phrasing in self.phrasings:
            slots = phrasing.parse(text)
            task = None if slots is None else self.task_with(text, slots)
            if task is not None:
                return task
        return None

    def task_with(self, text: str, slots: Slots) -> Recognised:
        """Return the task with this text and these slots, or None where it makes no sense."""
        solution = self.solve(**slots)
        if solution is None:
            return None
        prefix = "" if self.evaluated else DRILL
        key = prefix + "|".join([self.name, *(_plain_text(item) for item in solution.content)])
        turn = Turn(text, solution.response, solution.answer)
        return Task(self.name, key, (turn,), subject=self.subject)


class FamilyIndex:
    """Recognises the tasks of many phrased families at once."""

    def __init__(self, families: Iterable[PhrasedFamily]) -> None:
        entries: list[tuple[Phrasing, PhrasedFamily]] = []
        for family in families:
            entries += [(phrasing, family) for phrasing in family.phrasings]
        self._index = PhrasingIndex(entries)

    def recognise_task(self, text: str) -> Recognised:
        """Return the task behind one instruction, or None."""
        text = text.strip()
        for family, slots in self._index.matches(text):
            task = family.task_with(text, slots)
            if task is not None:
                return task
        return None


def _plain_text(item: Any) -> str:
    return ",".join(map(str, item)) if isinstance(item, tuple) else str(item)


def bucket_of(key: str) -> Bucket:
    """Return the split of a key: 64 % train, 12 % reference, 12 % dev, 12 % test.

    A stable hash of the content: it depends on no seed. A multiple-choice task
    (`choice_units/...`) lies where the question it asks lies.
    """
    if key.startswith(DRILL):
        return "train"
    # Not `hash()`, which differs between processes. "replace", because a text read from a file may
    # hold half a surrogate pair, which UTF-8 cannot encode.
    content = key.rpartition("/")[2].encode("utf-8", "replace")
    percent = int.from_bytes(blake2b(content, digest_size=8).digest(), "big") % 100
    return next(name for name, end in zip(BUCKETS, _BUCKET_ENDS, strict=True) if percent < end)


def draw_task(family: Family, bucket_name: Bucket, rng: random.Random) -> Task:
    """Return a random task of `family` whose key lies in the bucket.

    Raises ValueError for an unknown bucket, LookupError where the bucket has no task.
    """
    if bucket_name not in BUCKETS:
        raise ValueError(f"unknown bucket {bucket_name!r}; expected one of {', '.join(BUCKETS)}")
    for _ in range(DRAW_LIMIT):
        task = family.make_task(rng)
        if bucket_of(task.key) == bucket_name:
            return task
        # All its keys lie in the train bucket, so further draws would not help.
        if not family.evaluated:
            break
    raise LookupError(
        f"family {family.name} has no task in bucket {bucket_name!r}"
        f" (evaluated={family.evaluated}, at most {DRAW_LIMIT} draws);"
        " draw from 'train' or from an evaluated family"
    )
