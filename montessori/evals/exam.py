"""The exam: a trained model answers the test questions of a task set, each in its own dialogue."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from montessori.arte.settings import ExamParams
from montessori.arte.tasks import TEST_FILE
from montessori.artifacts.atomic import write_text
from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import QUESTIONS
from montessori.errors import MontessoriError
from montessori.evals.items import exam_name
from montessori.evals.outcomes import COLUMNS
from montessori.generate import Engine, Generated, Request, Sampling
from montessori.progress import track_progress
from montessori.signals.icl.measure import grade_answers

#: Columns of the model's answers, in the order of the questions.
ANSWERS = {
    "question_id": pl.String,
    "task": pl.String,
    "input": pl.String,
    "target": pl.String,
    "answer": pl.String,
    "finished": pl.Boolean,
    "correct": pl.Boolean,
}


def take_exam(
    open_model: Callable[[Path], Engine],
    model: Path,
    tasks: Path,
    out: Path,
    outcomes: Path,
    settings: ExamParams,
) -> dict[str, Any]:
    """Let the model in folder `model` take the exam; write `out`/answers.parquet and outcomes.

    Every question is one dialogue in the model's own chat template, without examples, answered
    greedily. Answers are graded as for in-context scores (`icl.measure.grade_answers`).
    Returns accuracies in %: of all questions, the mean of the tasks' (as in ARTE's tables), and of
    each task. Raises MontessoriError for tasks without test questions, before the model is opened.
    """
    questions = read_test_questions(tasks)  # first: opening a model takes long
    answers = answer_questions(
        open_model(model), questions["input"].to_list(), settings.max_new_tokens
    )
    table = mark_answers(questions, answers)
    facts = {"questions": table.height}
    with new_folder(out, {"model": model, "tasks": tasks}, facts) as folder:
        write_table(table, folder / "answers.parquet", ANSWERS)
    write_exam_outcomes(outcomes, table, exam_name(tasks.name))
    return exam_metrics(table)


def read_test_questions(tasks: Path) -> pl.DataFrame:
    """Read the test questions (schema QUESTIONS) of a task set's folder."""
    if not (tasks / TEST_FILE).is_file():
        raise MontessoriError(
            f"the tasks {tasks.name} have no test questions",
            where=str(tasks),
            expected="tasks whose `test` lists questions, BBH files, or a lab recipe with `test`",
            next="add them, see docs/how-to/arte.md, or take the row out of params.yaml: exams",
        )
    return read_table(tasks / TEST_FILE, QUESTIONS)


def answer_questions(
    engine: Engine, questions: Sequence[str], max_new_tokens: int
) -> list[Generated]:
    """A greedy answer to each question, asked as a dialogue of one turn."""
    prompts = engine.render_prompts([[{"role": "user", "content": text}] for text in questions])
    requests = [Request(prompt) for prompt in prompts]
    with track_progress(len(questions), "exam", "answers") as progress:
        return engine.generate(requests, Sampling(max_new_tokens), progress.advance)


def mark_answers(questions: pl.DataFrame, answers: Sequence[Generated]) -> pl.DataFrame:
    """Put each question (schema QUESTIONS) and its answer into the table ANSWERS, graded."""
    texts = [answer.text for answer in answers]
    return questions.select("question_id", "task", "input", "target").with_columns(
        pl.Series("answer", texts, pl.String),
        pl.Series("finished", [answer.finished for answer in answers], pl.Boolean),
        pl.Series("correct", grade_answers(texts, questions), pl.Boolean),
    )


def exam_metrics(table: pl.DataFrame) -> dict[str, Any]:
    """Accuracies in % of a table ANSWERS, and how many answers there are and were cut off."""
    percent = pl.col("correct").mean() * 100.0
    tasks = table.group_by("task", maintain_order=True).agg(percent)
    return {
        "accuracy": table.select(percent).item(),
        "mean_of_tasks": tasks["correct"].mean(),
        "tasks": dict(tasks.iter_rows()),
        "questions": table.height,
        "cut_off": table.height - table["finished"].sum(),
    }


def write_exam_outcomes(path: Path, table: pl.DataFrame, benchmark: str) -> None:
    """Write a row per question, value 0 or 100, as CSV: the unit of a comparison of two runs."""
    frame = table.select(
        item_id="question_id",
        benchmark=pl.lit(benchmark),
        value=100.0 * pl.col("correct"),
        length_difference=pl.lit(None, pl.Float64),  # no answer is compared with another one
    )
    text = frame.select(COLUMNS).sort("item_id").write_csv(float_precision=4)
    write_text(path, text)
