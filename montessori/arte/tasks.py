"""Tasks: a description, seed questions for the teacher, validation questions for the student.

A tasks file is a JSON list of tasks, or {"tasks": [...]}:

    {"name": "add", "description": "...", "closed": true,
     "seeds": [{"input": "...", "target": "..."}, ...],
     "validation": [{"input": "...", "target": "..."}, ...],
     "test": [...],                                  # optional: questions of the exam
     "reasoning": ["...", ...], "strategy": "..."}   # optional: prompts of this task's own
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import (
    make_table,
    new_folder,
    read_json,
    row_id,
    write_json,
    write_table,
)
from montessori.artifacts.schemas import QUESTIONS
from montessori.errors import MontessoriError
from montessori.signals.icl.questions import QUESTIONS_FILE

FILE = "tasks.json"
TEST = "test/bbh/data"  # where lm-eval's BBH looks below harness.data
TEST_FILE = "test.parquet"
SHOWN = 10  # problems in one error
HALF = re.compile("[\ud800-\udfff]")  # a surrogate alone: JSON may escape it, no file holds it
KINDS = ("seeds", "validation", "test")
NAME = re.compile(r"[\w-]{1,80}", re.ASCII)  # it names files


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
    control; if they are empty, the prompts in the folder of templates are used.
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
    """Write the folder `out`: tasks.json, the validation and test questions, and the eval items
    that no data may hold.

    Returns metrics. Raises MontessoriError, with all problems, for a task that lacks seeds or
    validation questions, or whose sets overlap.
    """
    problems = []
    for task in tasks:
        problems += find_task_problems(task)
    problems += [f"{name}: occurs twice" for name in _repeated(task.name for task in tasks)]
    if problems or not tasks:
        raise _unusable_tasks(problems or ["there is no task"], source)
    with new_folder(out, {"source": source}, {"tasks": len(tasks)}) as folder:
        # Stages read tasks.json to write data, so it holds the seed questions alone.
        shown = [asdict(task) | {"validation": [], "test": []} for task in tasks]
        write_json(folder / FILE, shown)
        write_table(_tabulate_questions(tasks, "validation"), folder / QUESTIONS_FILE, QUESTIONS)
        if any(task.test for task in tasks):
            write_table(_tabulate_questions(tasks, "test"), folder / TEST_FILE, QUESTIONS)
        for task in tasks:
            _write_eval_items(task, folder)
            _write_bbh_test(task, folder)
    counts = {kind: sum(len(getattr(task, kind)) for task in tasks) for kind in KINDS}
    return {"tasks": len(tasks), **counts}


def read_tasks(folder: Path) -> list[Task]:
    """The tasks of a folder of the stage, without their validation and test questions."""
    tasks = []
    for raw in read_json(folder / FILE):
        sets = {kind: _read_items(raw[kind]) for kind in KINDS}
        tasks.append(Task(**{**raw, **sets, "reasoning": tuple(raw["reasoning"])}))
    return tasks


def find_task_problems(task: Task) -> list[str]:
    """Why a task cannot be used; each problem starts with the task's name."""
    inputs = {kind: [item.input for item in getattr(task, kind)] for kind in KINDS}
    problems = []
    for kind in ("seeds", "validation"):
        if not inputs[kind]:
            problems.append(f"{task.name}: has no {kind} questions")
    if not NAME.fullmatch(task.name):
        problems.append(f"{task.name!r}: a name has letters, digits, `-` and `_` only, 80 at most")
    for kind in KINDS:
        repeated = _repeated(inputs[kind])
        if repeated:
            problems.append(
                f"{task.name}: {len(repeated)} questions occur twice in {kind}, "
                f"such as {min(repeated)[:60]!r}"
            )
    if not task.description.strip():
        problems.append(f"{task.name}: has no description")
    for first, second in combinations(KINDS, 2):
        common = set(inputs[first]) & set(inputs[second])
        if common:
            problems.append(
                f"{task.name}: {len(common)} questions are in {first} and in {second}, "
                f"such as {min(common)[:60]!r}"
            )
    return problems


def _repeated(texts: Iterable[str]) -> set[str]:
    """The texts that occur more than once."""
    return {text for text, number in Counter(texts).items() if number > 1}


def read_tasks_file(path: Path) -> list[Task]:
    """The tasks of a user's file. Raises MontessoriError with all that is malformed."""
    raw = read_json(path)
    listed = raw.get("tasks") if isinstance(raw, Mapping) else raw
    if not isinstance(listed, list):
        raise _unusable_tasks(["not a list of tasks"], path)
    tasks, problems = [], []
    for number, value in enumerate(listed, 1):
        try:
            tasks.append(_read_task(value))
        except KeyError as error:
            problems.append(f"task {number}: lacks {error}")
        except (TypeError, ValueError, AttributeError) as error:
            problems.append(f"task {number}: {error}")
    if problems:
        raise _unusable_tasks(problems, path)
    return tasks


def _read_task(value: Mapping[str, Any]) -> Task:
    """Raises KeyError, TypeError, ValueError or AttributeError for a malformed value."""
    unknown = sorted(set(value) - set(Task.__dataclass_fields__))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    reasoning = value.get("reasoning", [])
    if not isinstance(reasoning, list) or not all(isinstance(text, str) for text in reasoning):
        raise ValueError("reasoning is not a list of texts")
    closed = value.get("closed", True)
    if not isinstance(closed, bool):
        raise ValueError("closed is not true or false")
    return Task(
        name=_require_text(value["name"], "name"),
        description=_require_text(value.get("description", ""), "description"),
        strategy=_require_text(value.get("strategy", ""), "strategy"),
        closed=closed,
        reasoning=tuple(_require_text(text, "reasoning") for text in reasoning),
        seeds=_read_items(value.get("seeds", [])),
        validation=_read_items(value.get("validation", [])),
        test=_read_items(value.get("test", [])),
    )


def _require_text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a text")
    half = HALF.search(value)
    if half:
        raise ValueError(f"{key} holds half a character ({ascii(half[0])[1:-1]})")
    return value


def _read_items(values: Sequence[Mapping[str, Any]]) -> tuple[Item, ...]:
    items = tuple(Item(**value) for value in values)
    for item in items:
        if not (isinstance(item.input, str) and isinstance(item.target, str)):
            raise ValueError("input and target of a question are texts")
        if not (_require_text(item.input, "input").strip() and item.target.strip()):
            raise ValueError("a question has a blank input or target")
        for key in ("target", "response", "key"):
            _require_text(getattr(item, key) or "", key)
    return items


def _tabulate_questions(tasks: Sequence[Task], kind: str) -> pl.DataFrame:
    """The validation or test questions of all tasks as a QUESTIONS table."""
    records = []
    for task in tasks:
        for item in getattr(task, kind):
            record = {
                "question_id": row_id(task.name, item.input, item.target),
                "task": task.name,
                "skill": None,
                "input": item.input,
                "target": item.target,
                "response": item.response,
                "closed": task.closed,
            }
            records.append(record)
    return make_table(records, QUESTIONS)


def _write_eval_items(task: Task, folder: Path) -> None:
    """evals/<task>.jsonl: the validation and test questions, which no data may hold."""
    import json

    held_out = [("validation", item) for item in task.validation]
    held_out += [("test", item) for item in task.test]
    lines = []
    for number, (kind, item) in enumerate(held_out):
        record: dict[str, Any] = {
            "item_id": f"{task.name}-{kind}-{number}",
            "turns": [item.input],
        }
        if item.key:
            record["key"] = item.key
        lines.append(json.dumps(record, ensure_ascii=False))
    (folder / "evals").mkdir(exist_ok=True)
    (folder / "evals" / f"{task.name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def _write_bbh_test(task: Task, folder: Path) -> None:
    """The test questions of a task as a file of BBH, for lm-eval; nothing if there are none."""
    if task.test:
        examples = [{"input": item.input, "target": item.target} for item in task.test]
        write_json(folder / TEST / f"{task.name}.json", {"examples": examples})


def _unusable_tasks(problems: Sequence[str], path: Path) -> MontessoriError:
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return MontessoriError(
        "the tasks cannot be used:\n  " + "\n  ".join(problems[:SHOWN]) + more,
        where=str(path),
        expected="tasks with a description, seed questions and validation questions; the sets "
        "have no question in common",
        next="fix them, see docs/how-to/arte.md, then dvc repro",
    )
