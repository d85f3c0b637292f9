"""The questions that a student answers after a demonstration."""

from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.dialogue import assistant_turns, join_system, user_turns
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
        frame = pl.DataFrame([_make_question(row) for row in rows.to_dicts()], schema=QUESTIONS)
    if frame.is_empty():
        raise MontessoriError(
            "there are no questions to score demonstrations with",
            where=str(folder),
            expected="rows of a reference set, or a preference set",
            next="dvc repro",
        )
    return frame


def select_questions(questions: pl.DataFrame, task: str | None, most: int = 0) -> pl.DataFrame:
    """The first `most` (0 = all) questions of a row's task; of all questions if none has a task."""
    if questions["task"].null_count() < questions.height:
        questions = questions.filter(pl.col("task") == task)
    return questions.head(most) if most else questions


def _make_question(row: dict[str, Any]) -> dict[str, Any]:
    """A QUESTIONS row from the first turn of a dialogue, behind its system prompt if any."""
    joined = join_system(row["messages"])
    question, response = user_turns(joined)[0], assistant_turns(joined)[0]
    return {
        "question_id": row_id("question", question, response),
        "task": None,
        "skill": row["skill"],
        "input": question,
        "target": answer_of(response),
        "response": response,
        "closed": "\n" not in response.strip(),
    }
