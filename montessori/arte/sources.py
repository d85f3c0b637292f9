"""Where tasks come from: a file of one's own, the lab's families, or a folder of BBH files."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from montessori.arte.settings import TaskParams
from montessori.arte.tasks import Item, Task, read_tasks_file
from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.graph.limits import Whole
from montessori.graph.load import join_problems, read_section
from montessori.seeding import seed_of
from montessori.worlds import Bucket, World, open_world

ATTEMPTS = 200  # draws for a lab question whose content is new


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
    test: Annotated[Whole, "questions"] = 0


def load_tasks(source: Path, settings: TaskParams) -> list[Task]:
    """The tasks of a source: a tasks file (.json), a lab recipe (.json), or a folder of BBH files.

    Raises MontessoriError for whatever is malformed or too small.
    """
    if source.is_dir():
        return bbh_tasks(source, settings)
    raw = read_json(source)
    if isinstance(raw, Mapping) and raw.get("kind") == "lab-tasks":
        recipe, problems = read_section({"recipe": raw}, "recipe", LabTasks)
        if recipe is None:
            raise join_problems([text.removeprefix("recipe.") for text in problems], str(source))
        world = open_world("lab", str(source))
        return [
            family_task(world, name, settings, recipe.test, str(source)) for name in recipe.families
        ]
    return read_tasks_file(source)


def family_task(world: World, name: str, settings: TaskParams, test: int, where: str) -> Task:
    """A family as a task: seed, validation and `test` test questions of distinct content."""
    seen: set[str] = set()
    seeds = _drawn(world, name, "train", settings.seeds, settings.seed, seen, where)
    validation = _drawn(world, name, "reference", settings.validation, settings.seed, seen, where)
    tests = _drawn(world, name, "test", test, settings.seed, seen, where)
    closed = world.families()[name].closed
    return Task(name, name.replace("_", " "), seeds, validation, tests, closed)


def _drawn(
    world: World, name: str, bucket: Bucket, count: int, seed: int, seen: set[str], where: str
) -> tuple[Item, ...]:
    items: list[Item] = []
    for index in range(count * ATTEMPTS):
        if len(items) == count:
            break
        rng = random.Random(seed_of(seed, "task", name, bucket, index))
        task = world.draw_task(name, bucket, rng)
        if task.key not in seen:
            seen.add(task.key)
            turn = task.turns[0]
            items.append(Item(turn.instruction, turn.answer, turn.response, task.key))
    if len(items) < count:
        raise MontessoriError(
            f"the family {name} has {len(items)} of {count} different questions in {bucket}",
            where=where,
            expected="enough content for task.seeds, task.validation and the recipe's test",
            next="lower task.validation in params.yaml or test in the recipe, or change families",
        )
    return tuple(items)


# ----------------------------------------------------------------------------------------- BBH
def bbh_tasks(folder: Path, settings: TaskParams) -> list[Task]:
    """A task for each <name>.json ({"examples": [{"input", "target"}]}) of a folder.

    The examples of a file are shuffled by (task.seed, name) alone: the first are seeds, the next
    validation, all others test. A file without examples left for a test is an error. The
    description is the text of <name>.txt where there is one, else the name in words.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise MontessoriError(
            "there are no task files",
            where=str(folder),
            expected='<task>.json with {"examples": [{"input": ..., "target": ...}]}',
            next="name the folder that holds the files in params.yaml, tasks",
        )
    return [_bbh_task(file, settings) for file in files]


def _bbh_task(file: Path, settings: TaskParams) -> Task:
    examples = _examples(read_json(file), file)
    taken = settings.seeds + settings.validation
    if len(examples) <= taken:
        raise MontessoriError(
            f"{len(examples)} different examples leave none to test on",
            where=str(file),
            expected=f"more than task.seeds + task.validation = {taken}",
            next="lower task.validation in params.yaml",
        )
    random.Random(seed_of(settings.seed, "task", file.stem)).shuffle(examples)
    described = file.with_suffix(".txt")
    description = described.read_text("utf-8").strip() if described.is_file() else ""
    return Task(
        name=file.stem,
        description=description or file.stem.replace("_", " "),
        seeds=tuple(examples[: settings.seeds]),
        validation=tuple(examples[settings.seeds : taken]),
        test=tuple(examples[taken:]),
    )


def _examples(raw: Any, file: Path) -> list[Item]:
    """The examples of a file, each input once, in the file's order."""
    listed: Sequence[Any] = raw.get("examples", []) if isinstance(raw, Mapping) else []
    try:
        items = {
            str(each["input"]): Item(str(each["input"]), str(each["target"])) for each in listed
        }
    except (TypeError, KeyError) as error:
        raise MontessoriError(
            f"an example lacks {error}",
            where=str(file),
            expected='{"examples": [{"input": ..., "target": ...}]}',
            next="take the file as BBH's authors published it",
        ) from error
    return list(items.values())
