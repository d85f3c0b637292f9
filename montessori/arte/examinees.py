"""Models take the validation questions of tasks, with several numbers of solved examples."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from montessori.arte.tasks import Task, read_tasks
from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import OUTCOMES, QUESTIONS
from montessori.errors import MontessoriError
from montessori.signals.icl.demonstrations import Texts
from montessori.signals.icl.measure import Trial, score_trials
from montessori.signals.icl.questions import QUESTIONS_FILE
from montessori.signals.icl.settings import ExamineeParams, IclParams
from montessori.signals.icl.student import Student
from montessori.signals.scoring import ScoringJob


def take_questions(
    job: ScoringJob, name: str, examinee: ExamineeParams, icl: IclParams
) -> dict[str, Any]:
    """Write `out`/outcomes.parquet: each number of shots makes one examinee `<name>-<shots>`.

    `job.inputs` are model, tasks and templates. Shots are a task's first seeds. Returns accuracies
    by examinee, and their cost. Raises MontessoriError for more shots than seeds.
    """
    tasks = read_tasks(job.inputs["tasks"])
    _require_seeds(tasks, examinee.shots)
    questions = read_table(job.inputs["tasks"] / QUESTIONS_FILE, QUESTIONS)
    student = Student.open(job.inputs["model"], job.machine, icl.stop)
    texts = Texts.read_folder(job.inputs["templates"], icl)
    # The ranking of questions is fitted to right and wrong answers, not to probabilities.
    settings = replace(icl, measure="accuracy")
    records: list[dict[str, Any]] = []
    for shots in examinee.shots:
        trials = []
        for task in tasks:
            own = questions.filter(pl.col("task") == task.name)
            trials.append(Trial(_show_seeds(texts, task, shots), own))
        values = score_trials(student, texts, trials, settings)
        for trial, row in zip(trials, values, strict=True):
            records += _list_outcomes(f"{name}-{shots}", trial.questions, row)
    outcomes = pl.DataFrame(records, schema=OUTCOMES)
    with new_folder(job.out, job.inputs, {"rows": outcomes.height}) as folder:
        write_table(outcomes, folder / "outcomes.parquet", OUTCOMES)
    means = outcomes.group_by("examinee", maintain_order=True).agg(pl.col("correct").mean())
    return {
        "accuracy": dict(means.iter_rows()),
        "tokens_forward": student.tokens,
        "parameters": student.parameters,
    }


def _show_seeds(texts: Texts, task: Task, shots: int) -> str:
    """The first seed questions of a task with their solutions."""
    shown = ""
    for item in task.seeds[:shots]:
        shown += texts.render_demonstration(item.input, item.response or item.target)
    return shown


def _list_outcomes(
    examinee: str, questions: pl.DataFrame, values: Sequence[float]
) -> list[dict[str, Any]]:
    """OUTCOMES rows of one examinee; a value is 1 for a right answer."""
    outcomes = questions.select("task", "question_id").to_dicts()
    for outcome, value in zip(outcomes, values, strict=True):
        outcome |= {"examinee": examinee, "correct": value == 1}
    return outcomes


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
