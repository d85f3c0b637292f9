"""Worlds of tasks that can be checked: the one place where the core meets the lab.

A recipe draws rows and eval items from a world; filters, graders and metrics ask whether a text is
one of its tasks and whether an answer is right. A text that no world knows is simply not
recognised, so whatever does not draw from the lab works without the lab's folder.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from montessori.lab.task import Task as LabTask

#: Parts of a world by content, so that training rows and eval items never share any.
Bucket = Literal["train", "reference", "dev", "test"]


@dataclass(frozen=True)
class Turn:
    """One instruction, the right response in full, and the short answer within it."""

    instruction: str
    response: str
    answer: str


@dataclass(frozen=True)
class Task:
    """What a text asks: its family and skill, its content, its turns, the options to choose from.

    key: the content whatever the wording (see also `content_of`). choices: texts that begin with
    their letter, as in `A) seven`; empty for a task that is no multiple choice.
    """

    family: str
    skill: str
    key: str
    turns: tuple[Turn, ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A kind of task.

    turns: "one" or "several". closed: whether the answer is one of a few short forms. held_out:
    whether some of its content is kept from training, for evals.
    """

    turns: Literal["one", "several"]
    closed: bool
    held_out: bool


@dataclass(frozen=True)
class Grade:
    """How good responses are: right or wrong for each turn, and the mean quality in [0, 1]."""

    correct: tuple[bool, ...]
    quality: float


class World(Protocol):
    """What the core asks of a world."""

    def families(self) -> Mapping[str, Family]:
        """The kinds of task by name."""
        ...

    def draw_task(self, family: str, bucket: Bucket, rng: random.Random) -> Task:
        """A random task of a family. Raises LookupError when the bucket has none."""
        ...

    def recognise_task(self, turns: Sequence[str]) -> Task | None:
        """The task behind user turns in free wording, with right answers, or None."""
        ...

    def grade_responses(self, task: Task, responses: Sequence[str]) -> Grade:
        """Grade one response per turn; a missing response counts as empty."""
        ...


class Lab:
    """The embedded lab. Only this class imports its folder, when it is asked the first time."""

    def families(self) -> Mapping[str, Family]:
        """See `World`."""
        from montessori.lab.families import FAMILIES

        return {
            name: Family(
                turns="several" if family.kind == "dialogue" else "one",
                closed=family.kind in ("short", "choice"),
                held_out=family.evaluated,
            )
            for name, family in FAMILIES.items()
        }

    def draw_task(self, family: str, bucket: Bucket, rng: random.Random) -> Task:
        """See `World`."""
        from montessori.lab import task
        from montessori.lab.families import FAMILIES

        return _core_task(task.draw_task(FAMILIES[family], bucket, rng))

    def recognise_task(self, turns: Sequence[str]) -> Task | None:
        """See `World`."""
        from montessori.lab import grader

        task = grader.recognise_task(turns)
        return None if task is None else _core_task(task)

    def grade_responses(self, task: Task, responses: Sequence[str]) -> Grade:
        """See `World`."""
        from montessori.lab import grader
        from montessori.lab import task as lab

        turns = tuple(lab.Turn(turn.instruction, turn.response, turn.answer) for turn in task.turns)
        grade = grader.grade_responses(
            lab.Task(task.family, task.key, turns, task.choices), responses
        )
        return Grade(grade.correct, grade.quality)


def _core_task(task: "LabTask") -> Task:
    turns = tuple(Turn(turn.instruction, turn.response, turn.answer) for turn in task.turns)
    return Task(task.family, task.subject, task.key, turns, task.choices)


#: Every world by name: that of its folder, and of its recipes (`lab`, `lab-evals`, `lab-tasks`).
WORLDS: Mapping[str, World] = {"lab": Lab()}


@cache
def installed() -> Mapping[str, World]:
    """The worlds whose code is there, by name."""
    return {name: world for name, world in WORLDS.items() if _has_code(name)}


def _has_code(name: str) -> bool:
    # Looked up without importing, so that nothing of a world is loaded before it is asked.
    spec = find_spec(f"montessori.{name}")
    return spec is not None and spec.origin is not None  # a folder without code has no origin


def open_world(name: str, where: str) -> World:
    """The world of that name. `where`: the recipe or option that names it.

    Raises MontessoriError when there is no such world.
    """
    world = installed().get(name)
    if world is None:
        raise MontessoriError(
            f"the world {name!r} is not installed",
            where=where,
            expected=f"one of: {', '.join(installed()) or 'none is installed'}",
            next=f"restore the folder montessori/{name}, or name rows or items of your own",
        )
    return world


def world_of(family: str) -> World | None:
    """The world that has a family of that name, or None."""
    # A generator, so that a world is opened only if those before it lack the family.
    worlds = (world for world in installed().values() if family in world.families())
    return next(worlds, None)


def find_task(turns: Sequence[str]) -> Task | None:
    """The task behind user turns in free wording, or None when no world knows it."""
    tasks = (world.recognise_task(turns) for world in installed().values())
    return next((task for task in tasks if task is not None), None)


def grade_row(turns: Sequence[str], responses: Sequence[str]) -> Grade | None:
    """The grade of a row's responses, or None when no world knows its user turns."""
    for world in installed().values():
        task = world.recognise_task(turns)
        if task is not None:
            return world.grade_responses(task, responses)
    return None


def content_of(key: str) -> str:
    """What a task is about, whatever form it is asked in: its key without the form."""
    return key.rpartition("/")[2]
