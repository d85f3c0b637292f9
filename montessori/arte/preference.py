"""The preference set: of each task's validation questions the most discriminative ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from montessori.arte.irt import fit_items, rest_correlations
from montessori.arte.settings import PreferenceParams
from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import OUTCOMES, QUESTIONS
from montessori.errors import MontessoriError
from montessori.signals.icl.questions import QUESTIONS_FILE


def write_preference(
    tasks: Path, examinees: Path, names: Sequence[str], out: Path, settings: PreferenceParams
) -> dict[str, Any]:
    """Write `out`/questions.parquet: the `settings.questions` most discriminative of each task.

    `examinees` is the folder of outcomes by name, of which `names` are read. Returns metrics: by
    task how items were ranked ("2pl" or the fallback), how many of the kept ones all examinees
    answer alike, and the least discrimination of the others. Raises MontessoriError when there are
    no examinees, outcomes belong to other questions, all examinees answer a whole task alike, or
    the fit does not converge and no fallback is set.
    """
    pool = read_table(tasks / QUESTIONS_FILE, QUESTIONS)
    if not names:
        raise _no_examinees(tasks)
    folders = {name: examinees / name for name in names}
    outcomes = pl.concat(
        [read_table(folder / "outcomes.parquet", OUTCOMES) for folder in folders.values()]
    )
    kept: list[pl.DataFrame] = []
    metrics: dict[str, dict[str, Any]] = {}
    for (task,), questions in pool.group_by(["task"], maintain_order=True):
        correct = tabulate_answers(outcomes, questions, str(task))
        scores, facts = _rank_items(correct, str(task), settings)
        # Stable, so that of equal scores the earlier question is taken.
        best = np.argsort(-scores, kind="stable")[: settings.questions]
        # Back in the order of the pool, not of the ranking.
        kept.append(questions[sorted(best.tolist())])
        kept_facts = _describe_kept(correct[:, best], scores[best], questions.height)
        metrics[str(task)] = facts | kept_facts
    table = pl.concat(kept)
    with new_folder(out, {"tasks": tasks, **folders}, {"questions": table.height}) as folder:
        write_table(table, folder / QUESTIONS_FILE, QUESTIONS)
    rankings = [facts["ranking"] for facts in metrics.values()]
    return {
        "questions": table.height,
        "examinees": outcomes["examinee"].n_unique(),
        "fallbacks": sum(ranking != "2pl" for ranking in rankings),
        "tasks": metrics,
    }


def tabulate_answers(
    outcomes: pl.DataFrame, questions: pl.DataFrame, task: str
) -> npt.NDArray[np.bool_]:
    """Whether answers are right, (examinees, questions) bool, in the order of both tables.

    Raises MontessoriError when an examinee has not answered every question.
    """
    of_task = outcomes.filter(pl.col("task") == task)
    names = of_task["examinee"].unique(maintain_order=True).to_list()
    known = {}
    for name, question, correct in of_task.select("examinee", "question_id", "correct").iter_rows():
        known[name, question] = correct
    ids = questions["question_id"].to_list()
    rows = []
    try:
        for name in names:
            rows.append([known[name, question] for question in ids])
    except KeyError as error:
        raise MontessoriError(
            "an examinee has not answered every question",
            where=f"task {task}, (examinee, question) {error}",
            expected="examinees that took the same tasks",
            next="dvc repro examinee",
        ) from error
    if not rows:
        raise _no_examinees(task)
    return np.array(rows, dtype=np.bool_)


def _rank_items(
    correct: npt.NDArray[np.bool_], task: str, settings: PreferenceParams
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """A number per item, higher is more discriminative, and how it was computed."""
    varied = correct.min(axis=0) != correct.max(axis=0)
    if not varied.any():
        raise MontessoriError(
            f"all {correct.shape[0]} examinees answer every question of the task {task} alike, so "
            "none tells them apart",
            where="data/examinee",
            expected="examinees of different strength, and questions that some of them can answer",
            next="name other models in params.yaml, examinees, or drop the task",
        )
    fitted = fit_items(correct, settings.prior, settings.iterations)
    facts: dict[str, Any] = {"iterations": fitted.iterations, "all_alike": int((~varied).sum())}
    if fitted.converged:
        # Items that all examinees answer alike come last, below any discrimination.
        return np.where(varied, fitted.discrimination, -1.0), facts | {"ranking": "2pl"}
    if settings.fallback == "error":
        raise MontessoriError(
            f"the 2-parameter model of the task {task} does not converge: {fitted.message}",
            where=f"{correct.shape[0]} examinees, {correct.shape[1]} questions",
            expected="a converged fit, or a fallback",
            next="raise preference.iterations, set preference.prior above 0, add examinees, or set "
            "preference.fallback: correlation",
        )
    # A correlation is at least -1, so questions that all answer alike come last.
    scores = np.where(varied, rest_correlations(correct), -2.0)
    return scores, facts | {"ranking": "correlation", "reason": fitted.message}


def _describe_kept(
    correct: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64], pool: int
) -> dict[str, Any]:
    varied = correct.min(axis=0) != correct.max(axis=0)
    return {
        "pool": pool,
        "kept": int(correct.shape[1]),
        "kept_all_alike": int((~varied).sum()),
        "accuracy": float(correct.mean()),
        "least_discrimination": float(scores[varied].min()) if varied.any() else None,
    }


def _no_examinees(where: object) -> MontessoriError:
    return MontessoriError(
        "there are no examinees, so all questions look the same",
        where=str(where),
        expected="rows in params.yaml, examinees, of the preference set's tasks",
        next="add one per model: NAME: {model: models/student, tasks: TASKS}",
    )
