"""Verdicts of MT-Bench, read from FastChat's `model_judgment` files and from the judges' texts.

The files are JSON Lines. A row of single-answer grading has `question_id`, `model`, `turn`,
`score` (-1 without a verdict), `judgment` (the judge's text), `judge` (model and prompt) and
`tstamp`; a row of pairwise comparison has `model_1`, `model_2`, and `g1_winner`, `g1_judgment`,
`g2_winner`, `g2_judgment` of the two orders of the answers (Zheng and others 2023, arXiv
2306.05685).
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.artifacts.json_lines import line_error
from montessori.errors import MontessoriError
from montessori.evals.published.verdict_files import (
    Row,
    read_lines,
    to_number,
    to_printable,
)

SINGLE = ("question_id", "model", "turn")
PAIRWISE = ("question_id", "model_1", "model_2", "g1_winner", "g2_winner", "turn")
FAILED = -1  # the score of a row without a verdict
LOWEST, HIGHEST = 1.0, 10.0
CATEGORIES = (
    "writing",
    "roleplay",
    "reasoning",
    "math",
    "coding",
    "extraction",
    "stem",
    "humanities",
)
FIRST_QUESTION, QUESTIONS_PER_CATEGORY = 81, 10

# FastChat's patterns: [[5]], which the prompt asks for, and [5] only in a text without it
RATING = re.compile(r"\[\[(\d+\.?\d*)\]\]")
RATING_SINGLE = re.compile(r"\[(\d+\.?\d*)\]")
WINNERS = {"[[A]]": "A", "[[B]]": "B", "[[C]]": "tie"}  # in the order in which FastChat looks


@dataclass(frozen=True)
class Judgment:
    """One grade of one answer.

    score: 1-10, or None for a row that does not count; `why` then has the reason: "failed" (-1 or
    no score), "unparsed" (the text has no rating), "out of range", "no such turn". stored, parsed:
    the score in the file and the rating in the text, None where there is none. source: the row as
    it was read.
    """

    line: int
    question: int
    model: str
    turn: int
    judge: str
    time: float
    score: float | None
    why: str
    stored: float | None
    parsed: float | None
    source: str

    @property
    def disagrees(self) -> bool:
        """Whether score and text have different ratings."""
        return None not in (self.stored, self.parsed) and self.stored != self.parsed


@dataclass(frozen=True)
class Match:
    """One comparison of two answers in both orders; a winner is a model, "tie" or "error"."""

    line: int
    question: int
    turn: int
    model_1: str
    model_2: str
    judge: str
    winners: tuple[str, str]  # by the file, in the first order and in the second
    parsed: tuple[str | None, str | None]  # by the texts; None without a text
    why: str = (
        ""  # why it does not count, whatever the verdict: "compared with itself", "no such turn"
    )


def parse_rating(text: str) -> float | None:
    """The rating in a judge's text: the first [[5]], or else the first [5]; None without any."""
    match = RATING.search(text) or RATING_SINGLE.search(text)
    rating = float(match.group(1)) if match else math.inf
    return rating if math.isfinite(rating) else None


def parse_winner(text: str) -> str:
    """The winner in a judge's text: "A", "B", "tie", or "error" where the text names none."""
    return next((winner for mark, winner in WINNERS.items() if mark in text), "error")


def category_of(question: int) -> str:
    """The category of one of MT-Bench's 80 questions, 81-160, ten to a category; else "other"."""
    number = (question - FIRST_QUESTION) // QUESTIONS_PER_CATEGORY
    return CATEGORIES[number] if 0 <= number < len(CATEGORIES) else "other"


def read_judgments(path: Path) -> list[Judgment] | list[Match]:
    """Read the rows of a judgment file, which are all graded singly or all compared.

    Raises MontessoriError: no such file, a line that is not a JSON object, a row without a needed
    key or with an ill-typed one, no rows, rows of both kinds.
    """
    rows = read_lines(path)
    pairwise = {"model_1" in row for _, row, _ in rows}  # only a comparison has two models
    if len(pairwise) != 1:
        raise MontessoriError(
            "rows of single grading and of comparison in one file" if rows else "no judgments",
            where=str(path),
            expected="a file of FastChat's model_judgment folder",
            next="give --judgments FILE, one file per kind of grading",
        )
    if pairwise.pop():
        return [_parse_match(row, line, path) for line, row, _ in rows]
    judgments = [_parse_judgment(row, line, text, path) for line, row, text in rows]
    _require_scale(judgments, path)
    return judgments


def _require_scale(judgments: Sequence[Judgment], path: Path) -> None:
    """Raise MontessoriError for ratings that are not on the scale from 1 to 10.

    A judge that writes [[0]] or [[11]] once has slipped: its row is left out and counted. Stored
    scores that no text has, fractions below 1, ratings of which none is above 1, and more ratings
    off the scale than on it are another scale.
    """
    rated = [(row, row.parsed if row.stored is None else row.stored) for row in judgments]
    values = [(row, value) for row, value in rated if value is not None]
    odd = [(row, value) for row, value in values if not LOWEST <= value <= HIGHEST]
    other_scale = (
        any(0 < value < LOWEST or row.stored not in (None, row.parsed) for row, value in odd)
        or max((value for _, value in values), default=HIGHEST) <= LOWEST
        or len(odd) * 2 > len(values)
    )
    if odd and other_scale:
        row, value = odd[0]
        lowest, highest = (end(value for _, value in values) for end in (min, max))
        raise MontessoriError(
            f"ratings on another scale: they lie between {lowest:g} and {highest:g}, "
            f"and line {row.line} has {value:g}",
            where=str(path),
            expected="scores from 1 to 10, or -1 without a verdict",
            next="bring the scores to 1 to 10, or remove the lines that have others",
        )


def read_categories(path: Path) -> dict[int, str]:
    """Read the category of each question from a `question.jsonl`.

    Raises MontessoriError: an unreadable file, a line that is not a question with a category.
    """
    rows = read_lines(path)
    if not rows:
        raise MontessoriError(
            "the file of questions is empty",
            where=str(path),
            expected="question.jsonl of MT-Bench, one question with a category a line",
            next="name another file with --questions, or leave the option out",
        )
    for line, row, _ in rows:
        _require_keys(row, ("question_id", "category"), line, path)
    return {int(row["question_id"]): to_printable(row["category"]) for _, row, _ in rows}


def categories_for(
    rows: Sequence[Judgment | Match], judgments: Path, questions: Path | None
) -> tuple[dict[int, str], str]:
    """The category of each question of `rows`, and a text that names their source.

    The source is `questions`, or else the question.jsonl beside the judgments' folder, as in
    FastChat's layout, or else the numbers of the questions. Raises MontessoriError for a file that
    cannot be read.
    """
    path = find_questions(judgments, questions)
    if path is not None:
        return read_categories(path), str(path)
    numbers = {row.question for row in rows}
    return {number: category_of(number) for number in numbers}, "by question number"


def find_questions(judgments: Path, questions: Path | None) -> Path | None:
    """The file of questions: `questions`, else question.jsonl beside the judgments' folder."""
    beside = Path(judgments).resolve().parent.parent / "question.jsonl"
    return questions or (beside if beside.is_file() else None)


def _parse_judgment(row: Row, line: int, source: str, path: Path) -> Judgment:
    _require_keys(row, SINGLE, line, path)
    stored, text = to_number(row.get("score")), row.get("judgment")
    parsed = parse_rating(text) if isinstance(text, str) else None
    why = _reason_against(stored, parsed, isinstance(text, str))
    score = parsed if stored is None else stored
    return Judgment(
        line=line,
        question=int(row["question_id"]),
        model=to_printable(row["model"]),
        turn=int(row["turn"]),
        judge=_judge_name(row),
        time=to_number(row.get("tstamp")) or 0.0,
        score=None if why else score,
        why=why,
        stored=None if stored == FAILED else stored,
        parsed=parsed,
        source=source.strip(),
    )


def _reason_against(stored: float | None, parsed: float | None, has_text: bool) -> str:
    """Why a row does not count; "" for one that does, by its stored score where it has one."""
    if stored == FAILED or (stored is None and not has_text):
        return "failed"
    if has_text and parsed is None:
        return "unparsed"
    score = parsed if stored is None else stored
    return "" if score is not None and LOWEST <= score <= HIGHEST else "out of range"


def _parse_match(row: Row, line: int, path: Path) -> Match:
    _require_keys(row, PAIRWISE, line, path)
    names = to_printable(row["model_1"]), to_printable(row["model_2"])
    # In the second order the answers change places, so A is the second model's.
    first = _winning_model(row.get("g1_judgment"), {"A": names[0], "B": names[1]})
    second = _winning_model(row.get("g2_judgment"), {"A": names[1], "B": names[0]})
    stored = {"model_1": names[0], "model_2": names[1], "tie": "tie"}
    return Match(
        line=line,
        question=int(row["question_id"]),
        turn=int(row["turn"]),
        model_1=names[0],
        model_2=names[1],
        judge=_judge_name(row),
        winners=(
            stored.get(str(row["g1_winner"]), "error"),
            stored.get(str(row["g2_winner"]), "error"),
        ),
        parsed=(first, second),
        why="compared with itself" if names[0] == names[1] else "",
    )


def _winning_model(text: Any, order: Mapping[str, str]) -> str | None:
    """The model that won by a judge's text, "tie" or "error"; None without a text.

    order: the models behind A and B.
    """
    if not isinstance(text, str):
        return None
    winner = parse_winner(text)
    return order.get(winner, winner)


def _judge_name(row: Row) -> str:
    """The judging model: the first part of `judge`. The second part is the prompt's name."""
    judge = row.get("judge")
    return to_printable(judge[0] if isinstance(judge, list) and judge else judge or "")


def _require_keys(row: Row, keys: tuple[str, ...], line: int, path: Path) -> None:
    """Raise MontessoriError where a key is missing, or question or turn is no whole number."""
    missing = [key for key in keys if key not in row]
    if missing:
        raise line_error(f"no {', '.join(missing)}", line, path)
    for key in ("model", "model_1", "model_2"):
        if key in keys and not isinstance(row[key], str):
            raise line_error(f"{key} is {row[key]!r}, not a name", line, path)
    for key in ("question_id", "turn"):
        value = row.get(key, 1)  # 1: a question of a question.jsonl has no turn
        if isinstance(value, bool) or not isinstance(value, int):
            raise line_error(f"{key} is {value!r}, not a whole number", line, path)
