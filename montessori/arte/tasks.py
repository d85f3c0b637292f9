"""Tasks: a description, seed questions for the teacher, validation questions for the student.

A tasks file is a JSON list of tasks, or {"tasks": [...]}:

    {"name": "add", "description": "...", "closed": true,
     "seeds": [{"input": "...", "target": "..."}, ...],
     "validation": [{"input": "...", "target": "..."}, ...],
     "test": [...],                                  # optional: of the exam, kept out of data
     "reasoning": ["...", ...], "strategy": "..."}   # optional: prompts of this task's own
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import new_folder, read_json, row_id, write_json, write_table
from montessori.artifacts.schemas import QUESTIONS
from montessori.errors import MontessoriError
from montessori.signals.icl.questions import QUESTIONS_FILE

FILE = "tasks.json"
TEST = "test/bbh/data"  # where lm-eval's BBH looks below harness.data
TEST_FILE = "test.parquet"
SHOWN = 10  # problems in one error
KINDS = ("seeds", "validation", "test")
NAME = re.compile(r"[\w-]+", re.ASCII)  # it names files


@dataclass(frozen=True)
class Item:
    """A question and its answer; `response` is a full gold text, `key` a lab task's content."""

    input: str
    target: str
    response: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Task:
    """One task. A closed one is answered at once; an open one needs working before the answer.

    `reasoning` are reasoning prompts of its own, `strategy` the one of the consistent-strategy
    control; where they are empty, those of the folder of templates are taken.
    """

    name: str
    description: str
    seeds: tuple[Item, ...]
    validation: tuple[Item, ...]
    test: tuple[Item, ...] = ()
    closed: bool = True
    reasoning: tuple[str, ...] = ()
    strategy: str = ""


def write_tasks(tasks: Sequence[Task], source: Path, out: Path) -> dict[str, Any]:
    """Write the folder `out`: tasks.json, the validation and test questions, and what data must
    not hold.

    Returns metrics. Raises MontessoriError, with all problems, for a task that lacks seeds or
    validation questions, or whose sets overlap.
    """
    problems = [text for task in tasks for text in task_problems(task)]
    names = [task.name for task in tasks]
    problems += [f"{name}: occurs twice" for name in {n for n in names if names.count(n) > 1}]
    if problems or not tasks:
        raise _malformed(problems or ["there is no task"], source)
    with new_folder(out, {"source": source}, {"tasks": len(tasks)}) as folder:
        shown = [asdict(task) | {"validation": [], "test": []} for task in tasks]
        write_json(folder / FILE, shown)
        write_table(_questions(tasks, "validation"), folder / QUESTIONS_FILE, QUESTIONS)
        if any(task.test for task in tasks):
            write_table(_questions(tasks, "test"), folder / TEST_FILE, QUESTIONS)
        _write_held_out(tasks, folder)
    return {
        "tasks": len(tasks),
        **{kind: sum(len(getattr(task, kind)) for task in tasks) for kind in KINDS},
    }


def read_tasks(folder: Path) -> list[Task]:
    """The tasks of a folder of the stage, without their validation and test questions."""
    return [
        Task(**{**raw, **{kind: _items(raw[kind]) for kind in KINDS},
                "reasoning": tuple(raw["reasoning"])})
        for raw in read_json(folder / FILE)
    ]  # fmt: skip


def task_problems(task: Task) -> list[str]:
    """What keeps a task from being used, each starting with its name."""
    problems = [
        f"{task.name}: has no {kind} questions"
        for kind in ("seeds", "validation")
        if not getattr(task, kind)
    ]
    if not NAME.fullmatch(task.name):
        problems.append(f"{task.name!r}: a name has letters, digits, `-` and `_` only")
    for kind in KINDS:
        counts = Counter(item.input for item in getattr(task, kind))
        twice = [text for text, number in counts.items() if number > 1]
        if twice:
            problems.append(f"{task.name}: {len(twice)} questions occur twice in {kind}, "
                            f"such as {min(twice)[:60]!r}")  # fmt: skip
    if not task.description.strip():
        problems.append(f"{task.name}: has no description")
    sets = {kind: {i.input for i in getattr(task, kind)} for kind in KINDS}
    for first, second in (("seeds", "validation"), ("seeds", "test"), ("validation", "test")):
        common = sets[first] & sets[second]
        if common:
            problems.append(
                f"{task.name}: {len(common)} questions are in {first} and in {second}, "
                f"such as {min(common)[:60]!r}"
            )
    return problems


def read_tasks_file(path: Path) -> list[Task]:
    """The tasks of a user's file. Raises MontessoriError with all that is malformed."""
    raw = read_json(path)
    listed = raw.get("tasks") if isinstance(raw, Mapping) else raw
    if not isinstance(listed, list):
        raise _malformed(["not a list of tasks"], path)
    tasks, problems = [], []
    for number, value in enumerate(listed, 1):
        try:
            tasks.append(_task(value))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"task {number}: {_reason(error)}")
    if problems:
        raise _malformed(problems, path)
    return tasks


def _task(value: Mapping[str, Any]) -> Task:
    unknown = sorted(set(value) - set(Task.__dataclass_fields__))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    name, description, strategy = (_text(value, key) for key in ("name", "description", "strategy"))
    sets: dict[str, Any] = {kind: _items(value.get(kind, [])) for kind in KINDS}
    reasoning = value.get("reasoning", [])
    if not isinstance(reasoning, list) or not all(isinstance(text, str) for text in reasoning):
        raise ValueError("reasoning is not a list of texts")
    closed = value.get("closed", True)
    if not isinstance(closed, bool):
        raise ValueError("closed is not true or false")
    return Task(
        name,
        description,
        closed=closed,
        reasoning=tuple(reasoning),
        strategy=strategy,
        **sets,
    )


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value["name"] if key == "name" else value.get(key, "")
    if not isinstance(text, str):
        raise ValueError(f"{key} is not a text")
    return text


def _items(values: Sequence[Mapping[str, Any]]) -> tuple[Item, ...]:
    items = tuple(Item(**value) for value in values)
    if any(not isinstance(text, str) for item in items for text in (item.input, item.target)):
        raise ValueError("input and target of a question are texts")
    return items


def _reason(error: Exception) -> str:
    return f"lacks {error}" if isinstance(error, KeyError) else str(error)


def _questions(tasks: Sequence[Task], kind: str) -> pl.DataFrame:
    records = [
        {
            "question_id": row_id(task.name, item.input, item.target),
            "task": task.name,
            "skill": None,
            "input": item.input,
            "target": item.target,
            "response": item.response,
            "closed": task.closed,
        }
        for task in tasks
        for item in getattr(task, kind)
    ]
    return pl.DataFrame(records, schema=QUESTIONS)


def _write_held_out(tasks: Sequence[Task], folder: Path) -> None:
    """evals/<task>.jsonl, what no data may hold, and the test questions in the layout of BBH."""
    import json

    for task in tasks:
        (folder / "evals").mkdir(exist_ok=True)
        held = [("validation", item) for item in task.validation]
        held += [("test", item) for item in task.test]
        lines = [
            json.dumps({"item_id": f"{task.name}-{kind}-{n}", "turns": [item.input]}
                       | ({"key": item.key} if item.key else {}), ensure_ascii=False)
            for n, (kind, item) in enumerate(held)
        ]  # fmt: skip
        (folder / "evals" / f"{task.name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        if task.test:
            examples = [{"input": item.input, "target": item.target} for item in task.test]
            write_json(folder / TEST / f"{task.name}.json", {"examples": examples})


def _malformed(problems: Sequence[str], path: Path) -> MontessoriError:
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return MontessoriError(
        "the tasks cannot be used:\n  " + "\n  ".join(problems[:SHOWN]) + more,
        where=str(path),
        expected="tasks with a description, seed questions and validation questions, which share "
        "no question",
        next="fix them, see docs/how-to/arte.md, then dvc repro",
    )
