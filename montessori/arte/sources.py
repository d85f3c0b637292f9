"""Where tasks come from: a file of your own, the lab's families, or a folder of BBH files."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from montessori.arte.settings import TaskParams
from montessori.arte.tasks import Item, Task, read_tasks_file
from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.graph.limits import AtMost, Whole
from montessori.graph.load import join_problems, read_section
from montessori.seeding import seed_of
from montessori.worlds import Bucket, World, open_world

ATTEMPTS = 200  # draws per lab question, at most, until one has new content
EXHAUSTED = 20_000  # draws in a row without new content: the family has no more


@dataclass(frozen=True)
class LabTaskName:
    """A limit of settings: a family of the lab whose questions can be a task's."""

    def find_problem(self, value: str) -> str | None:
        """The name, if it is no such family."""
        family = open_world("lab", "a recipe of kind lab-tasks").families().get(value)
        if family is None:
            return f"{value!r} is no family of the lab"
        if family.turns == "several" or not family.held_out:
            return f"{value!r} has two turns, or no questions held out"
        return None

    def __str__(self) -> str:
        return "a family of the lab"


@dataclass(frozen=True)
class LabTasks:
    """The lab's families as tasks: seeds of the train bucket, validation of the reference one, and
    so many test questions of each family of the test bucket.
    """

    kind: str
    families: tuple[Annotated[str, LabTaskName()], ...]
    test: Annotated[Whole, AtMost(100_000), "questions"] = 0


def load_tasks(source: Path, settings: TaskParams) -> list[Task]:
    """The tasks of a source: a tasks file (.json), a lab recipe (.json), or a folder of BBH files.

    Raises MontessoriError when the source is malformed or too small.
    """
    if source.is_dir():
        return read_bbh_tasks(source, settings)
    raw = read_json(source)
    if isinstance(raw, Mapping) and raw.get("kind") == "lab-tasks":
        recipe, problems = read_section({"recipe": raw}, "recipe", LabTasks)
        if recipe is None:
            raise join_problems([text.removeprefix("recipe.") for text in problems], str(source))
        world = open_world("lab", str(source))
        families, test = recipe.families, recipe.test
        return [family_task(world, name, settings, test, str(source)) for name in families]
    return read_tasks_file(source)


def family_task(world: World, name: str, settings: TaskParams, test: int, where: str) -> Task:
    """A family as a task: seed, validation and `test` test questions of distinct content."""
    questions = _FamilyQuestions(world, name, settings.seed, where)
    return Task(
        name=name,
        description=name.replace("_", " "),
        seeds=questions.draw_items("train", settings.seeds),
        validation=questions.draw_items("reference", settings.validation),
        test=questions.draw_items("test", test),
        closed=world.families()[name].closed,
    )


class _FamilyQuestions:
    """Questions of a family of the lab, none of which has the content of an earlier one."""

    def __init__(self, world: World, family: str, seed: int, where: str) -> None:
        self.world, self.family, self.seed, self.where = world, family, seed, where
        self._seen: set[str] = set()

    def draw_items(self, bucket: Bucket, count: int) -> tuple[Item, ...]:
        """`count` questions of a bucket. Raises MontessoriError when it does not have so many."""
        items: list[Item] = []
        missed = 0
        for index in range(count * ATTEMPTS):
            if len(items) == count or missed == EXHAUSTED:
                break
            missed += 1
            # A generator for each draw: more questions leave the earlier ones as they are.
            rng = random.Random(seed_of(self.seed, "task", self.family, bucket, index))
            task = self.world.draw_task(self.family, bucket, rng)
            if task.key not in self._seen:
                self._seen.add(task.key)
                missed = 0
                turn = task.turns[0]
                items.append(Item(turn.instruction, turn.answer, turn.response, task.key))
        if len(items) < count:
            raise MontessoriError(
                f"the family {self.family} has {len(items)} of {count} different questions in "
                f"{bucket}",
                where=self.where,
                expected="enough content for task.seeds, task.validation and the recipe's test",
                next="lower task.validation in params.yaml or test in the recipe, or change "
                "families",
            )
        return tuple(items)


# ----------------------------------------------------------------------------------------- BBH
def read_bbh_tasks(folder: Path, settings: TaskParams) -> list[Task]:
    """A task for each <name>.json ({"examples": [{"input", "target"}]}) of a folder.

    The examples of a file are shuffled by (task.seed, name) alone: the first are seeds, the next
    validation, all others test. The description is the text of <name>.txt if that file exists,
    else the name in words. Raises MontessoriError for a folder without files and for a file that
    has no examples left for a test.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise MontessoriError(
            "there are no task files",
            where=str(folder),
            expected='<task>.json with {"examples": [{"input": ..., "target": ...}]}',
            next="name the folder that holds the files in params.yaml, tasks",
        )
    return [_read_bbh_task(file, settings) for file in files]


def _read_bbh_task(file: Path, settings: TaskParams) -> Task:
    examples = _read_examples(read_json(file), file)
    shown = settings.seeds + settings.validation
    if len(examples) <= shown:
        raise MontessoriError(
            f"{len(examples)} different examples leave none to test on",
            where=str(file),
            expected=f"more than task.seeds + task.validation = {shown}",
            next="lower task.validation in params.yaml",
        )
    random.Random(seed_of(settings.seed, "task", file.stem)).shuffle(examples)
    described = file.with_suffix(".txt")
    description = described.read_text("utf-8").strip() if described.is_file() else ""
    return Task(
        name=file.stem,
        description=description or file.stem.replace("_", " "),
        seeds=tuple(examples[: settings.seeds]),
        validation=tuple(examples[settings.seeds : shown]),
        test=tuple(examples[shown:]),
    )


def _read_examples(raw: Any, file: Path) -> list[Item]:
    """The examples of a file, each input once, in the file's order."""
    listed: Sequence[Any] = raw.get("examples", []) if isinstance(raw, Mapping) else []
    items: dict[str, Item] = {}
    try:
        for example in listed:
            text = str(example["input"])
            items[text] = Item(text, str(example["target"]))
    except (TypeError, KeyError) as error:
        raise MontessoriError(
            f"an example lacks {error}",
            where=str(file),
            expected='{"examples": [{"input": ..., "target": ...}]}',
            next="use the file as BBH's authors published it",
        ) from error
    return list(items.values())
