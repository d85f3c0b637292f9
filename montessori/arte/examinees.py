"""Models take the validation questions of tasks, with several numbers of solved examples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.arte.tasks import Item, Task, read_tasks
from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import OUTCOMES, QUESTIONS
from montessori.errors import MontessoriError
from montessori.signals.icl.demonstrations import Texts
from montessori.signals.icl.measure import values
from montessori.signals.icl.questions import QUESTIONS_FILE
from montessori.signals.icl.settings import ExamineeParams, IclParams
from montessori.signals.icl.student import Student

if TYPE_CHECKING:
    from montessori.pipeline.machine import Machine


def take(
    name: str,
    model: Path,
    tasks: Path,
    templates: Path,
    out: Path,
    examinee: ExamineeParams,
    icl: IclParams,
    machine: "Machine",
) -> dict[str, Any]:
    """Write `out`/outcomes.parquet: each number of shots makes one examinee `<name>-<shots>`.

    Shots are a task's first seeds. Returns accuracies by examinee, and their cost. Raises
    MontessoriError for more shots than seeds.
    """
    listed = read_tasks(tasks)
    _require_seeds(listed, examinee.shots)
    asked = read_table(tasks / QUESTIONS_FILE, QUESTIONS)
    student, texts = Student.open(model, machine, icl.stop), Texts.load(templates, icl)
    settings = replace(icl, measure="accuracy")
    frames = [asked.filter(pl.col("task") == task.name) for task in listed]
    records: list[dict[str, Any]] = []
    for shots in examinee.shots:
        prefixes = ["".join(_solved(texts, item) for item in task.seeds[:shots]) for task in listed]
        found = values(student, texts, prefixes, frames, settings)
        for frame, row in zip(frames, found, strict=True):
            records += [
                {"examinee": f"{name}-{shots}", "task": task, "question_id": question,
                 "correct": value == 1}
                for (task, question), value in zip(
                    frame.select("task", "question_id").iter_rows(), row, strict=True
                )
            ]  # fmt: skip
    outcomes = pl.DataFrame(records, schema=OUTCOMES)
    with new_folder(
        out, {"model": model, "tasks": tasks, "templates": templates}, {"rows": outcomes.height}
    ) as folder:
        write_table(outcomes, folder / "outcomes.parquet", OUTCOMES)
    means = outcomes.group_by("examinee", maintain_order=True).agg(pl.col("correct").mean())
    return {
        "accuracy": dict(means.iter_rows()),
        "tokens_forward": student.tokens,
        "parameters": student.parameters,
    }


def _solved(texts: Texts, item: Item) -> str:
    return texts.shown(item.input, item.response or item.target)


def _require_seeds(tasks: Sequence[Task], shots: Sequence[int]) -> None:
    short = [task for task in tasks if len(task.seeds) < max(shots)]
    if short:
        raise MontessoriError(
            f"the task {short[0].name} has {len(short[0].seeds)} seed questions, but an examinee "
            f"is shown {max(shots)}",
            where="params.yaml, key examinee.shots",
            expected="no more shots than seed questions",
            next="lower examinee.shots or raise task.seeds",
        )
