"""The questions that a student answers after a demonstration."""

from pathlib import Path

import polars as pl

from montessori.artifacts.files import read_table, row_id
from montessori.artifacts.schemas import QUESTIONS, ROWS
from montessori.errors import MontessoriError
from montessori.signals.icl.answers import answer_of

QUESTIONS_FILE = "questions.parquet"


def read_questions(folder: Path) -> pl.DataFrame:
    """The QUESTIONS table of a preference set or of rows of dialogue (the first turn of each).

    Rows of dialogue have no task; a response of one line is a closed answer. Raises
    MontessoriError when there is no question.
    """
    if (folder / QUESTIONS_FILE).is_file():
        frame = read_table(folder / QUESTIONS_FILE, QUESTIONS)
    else:
        rows = read_table(folder / "rows.parquet", ROWS)
        frame = pl.DataFrame([_question(row) for row in rows.to_dicts()], schema=QUESTIONS)
    if frame.is_empty():
        raise MontessoriError(
            "there are no questions to score demonstrations with",
            where=str(folder),
            expected="rows of a reference set, or a preference set",
            next="dvc repro",
        )
    return frame


def _question(row: dict[str, object]) -> dict[str, object]:
    messages = row["messages"]
    assert isinstance(messages, list)
    asked, response = messages[0]["content"], messages[1]["content"]
    closed = "\n" not in response.strip()
    return {
        "question_id": row_id("question", asked, response),
        "task": None,
        "skill": row["skill"],
        "input": asked,
        "target": answer_of(response),
        "response": response,
        "closed": closed,
    }


def of_task(questions: pl.DataFrame, task: str | None, most: int = 0) -> pl.DataFrame:
    """The first `most` (0 = all) questions of a row's task; all where questions have no task."""
    if questions["task"].null_count() < questions.height:
        questions = questions.filter(pl.col("task") == task)
    return questions.head(most) if most else questions
