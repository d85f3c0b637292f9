"""Judgment files of MT-Bench: ratings, winners, categories, malformed files.

What would break: a grade is read from the wrong place, or a question counts for another category
than in FastChat.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from montessori.errors import MontessoriError
from montessori.evals.published.judgments import (
    Judgment,
    Match,
    categories_for,
    category_of,
    parse_rating,
    parse_winner,
    read_judgments,
)

ROW = {"question_id": 81, "model": "m", "judge": ["gpt-4", "single-v1"], "turn": 1, "tstamp": 1.0}
PAIR = {
    "question_id": 81,
    "model_1": "a",
    "model_2": "b",
    "turn": 1,
    "judge": ["gpt-4", "pair"],
    "g1_winner": "model_1",
    "g2_winner": "model_1",
}


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Good. Rating: [[8]]", 8.0),
        ("Rating: [[7.5]]", 7.5),
        ("[3] of the steps, yet [[9]]", 9.0),
        ("[[2]] before, [[6]] after", 2.0),
        ("Rating: [5]", 5.0),
        ("Rating: [[10.]]", 10.0),
        ("Rating: [[rating]]", None),
        ("Rating: 8/10", None),
        ("[[-1]]", None),
        ("[[8, 9]]", None),
        ("$ERROR$", None),
        ("", None),
        (f"[[{'9' * 400}]]", None),
    ],
)
def test_ratings(text: str, rating: float | None) -> None:
    assert parse_rating(text) == rating


def test_winners_in_the_order_in_which_fastchat_looks() -> None:
    texts = ("so [[B]]", "[[B]], no, [[A]]", "[[C]]", "A is better", "")
    assert [parse_winner(text) for text in texts] == ["B", "A", "tie", "error", "error"]


def test_categories_are_ten_questions_each() -> None:
    numbers = {81: "writing", 90: "writing", 91: "roleplay", 111: "math", 160: "humanities"}
    numbers |= {161: "other", 80: "other"}
    assert {number: category_of(number) for number in numbers} == numbers


def test_categories_by_number_are_those_of_the_question_file(mt_bench_files: Path) -> None:
    judgments = mt_bench_files / "model_judgment" / "llama3.jsonl"
    found, source = categories_for(read_judgments(judgments), judgments, None)
    assert source == str((mt_bench_files / "question.jsonl").resolve())
    assert found == {number: category_of(number) for number in range(81, 161)}


def test_categories_from_a_file_or_by_number(jsonl: Callable[..., Path]) -> None:
    path = jsonl([ROW])
    rows = read_judgments(path)
    assert categories_for(rows, path, None) == ({81: "writing"}, "by question number")
    questions = jsonl([{"question_id": 81, "category": "poems"}], "mine.jsonl")
    assert categories_for(rows, path, questions) == ({81: "poems"}, str(questions))
    broken = jsonl([{"question_id": 81}], "broken.jsonl")
    with pytest.raises(MontessoriError, match="line 1: no category"):
        categories_for(rows, path, broken)


@pytest.mark.parametrize(
    ("change", "score", "why", "disagrees"),
    [
        ({"score": 7, "judgment": "[[7]]"}, 7.0, "", False),
        ({"score": 7, "judgment": "[[6]]"}, 7.0, "", True),
        ({"score": 7}, 7.0, "", False),
        ({"judgment": "[[6]]"}, 6.0, "", False),
        ({"score": None, "judgment": "[[6]]"}, 6.0, "", False),
        ({"score": -1, "judgment": "$ERROR$"}, None, "failed", False),
        ({"score": -1, "judgment": "[[6]]"}, None, "failed", False),
        ({}, None, "failed", False),
        ({"score": True}, None, "failed", False),
        ({"score": 7, "judgment": "fine"}, None, "unparsed", False),
        ({"judgment": "fine"}, None, "unparsed", False),
        ({"score": 0, "judgment": "[[0]]"}, None, "out of range", False),
        ({"score": 11, "judgment": "[[11]]"}, None, "out of range", False),
        ({"judgment": "[[11]]"}, None, "out of range", False),
    ],
)
def test_what_is_scored_and_what_left_out(
    jsonl: Callable[..., Path],
    change: dict[str, Any],
    score: float | None,
    why: str,
    disagrees: bool,
) -> None:
    *_, read = read_judgments(jsonl([ROW | {"score": 5}, ROW | {"score": 7}, ROW | change]))
    assert isinstance(read, Judgment)
    assert (read.score, read.why, read.disagrees) == (score, why, disagrees)
    assert (read.question, read.model, read.turn, read.judge) == (81, "m", 1, "gpt-4")


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        ([0.8, 1.0, 0.9], "between 0.8 and 1, and line 1 has 0.8"),
        ([1, 0, 1, 1], "between 0 and 1, and line 2 has 0"),
        ([85, 7, 90], "between 7 and 90, and line 1 has 85"),
        ([8, 9, 11], "between 8 and 11, and line 3 has 11"),
        ([8, 9, -2], "between -2 and 9, and line 3 has -2"),
    ],
)
def test_another_scale_is_refused(
    jsonl: Callable[..., Path], scores: list[float], scale: str
) -> None:
    with pytest.raises(MontessoriError, match=f"another scale: they lie {scale}") as caught:
        read_judgments(jsonl([ROW | {"score": score} for score in scores]))
    assert "from 1 to 10" in caught.value.expected


@pytest.mark.parametrize(
    ("ratings", "scale"),
    [
        ((70, 9, 85), "between 9 and 85, and line 1 has 70"),
        ((9, 0.5, 8), "between 0.5 and 9, and line 2 has 0.5"),
        ((1, 0, 1), "between 0 and 1, and line 2 has 0"),
    ],
)
def test_ratings_of_texts_may_be_on_another_scale_too(
    jsonl: Callable[..., Path], ratings: tuple[float, ...], scale: str
) -> None:
    rows = [ROW | {"judgment": f"[[{rating}]]"} for rating in ratings]
    with pytest.raises(MontessoriError, match=scale):
        read_judgments(jsonl(rows))


def test_a_list_of_judgments_is_read(tmp_path: Path) -> None:
    path = tmp_path / "judgments.json"
    path.write_text(json.dumps([ROW | {"score": 5}, ROW | {"score": 7}], indent=1))
    assert [row.score for row in read_judgments(path)] == [5.0, 7.0]


def test_pairs_are_read_in_both_orders(jsonl: Callable[..., Path]) -> None:
    texts = {"g1_judgment": "[[A]]", "g2_judgment": "[[A]]", "g2_winner": "model_2"}
    whole, bare = read_judgments(jsonl([PAIR | texts, PAIR | {"g2_winner": "odd"}]))
    assert isinstance(whole, Match)
    assert whole.winners == ("a", "b")
    assert whole.parsed == ("a", "b")  # in the second order A is model_2
    assert isinstance(bare, Match)
    assert bare.winners == ("a", "error")
    assert bare.parsed == (None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no judgments"),
        ("\n\n", "no judgments"),
        (json.dumps(ROW) + "\n{", "line 2: not valid JSON"),
        ("[1]", "line 1: not a JSON object"),
        ('{"question_id": 81, "model": "m"}', "line 1: no turn"),
        (json.dumps(ROW | {"question_id": "81"}), "question_id is '81', not a whole number"),
        (json.dumps(ROW | {"turn": True}), "turn is True, not a whole number"),
        (json.dumps(PAIR | {"turn": 1.5}), "turn is 1.5, not a whole number"),
        (json.dumps(ROW) + "\n" + json.dumps(PAIR), "rows of single grading and of comparison"),
        ('{"model_1": "a"}', "line 1: no question_id, model_2"),
        (json.dumps(ROW | {"model": None}), "line 1: model is None, not a name"),
        (json.dumps(PAIR | {"model_2": 2}), "line 1: model_2 is 2, not a name"),
    ],
)
def test_what_is_no_judgment_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "judgments.jsonl"
    path.write_text(text)
    with pytest.raises(MontessoriError, match=message) as caught:
        read_judgments(path)
    assert caught.value.where == str(path)
    assert caught.value.next


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(MontessoriError, match="cannot be read"):
        read_judgments(tmp_path / "absent.jsonl")


def test_other_ends_of_line_within_a_text(tmp_path: Path) -> None:
    path = tmp_path / "judgments.jsonl"
    row = ROW | {"judgment": "a\u2028b\x85 [[4]]"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8")
    (read,) = read_judgments(path)
    assert isinstance(read, Judgment)
    assert read.score == 4.0


def test_a_file_of_questions_holds_some(tmp_path: Path) -> None:
    (tmp_path / "question.jsonl").write_text("")
    with pytest.raises(MontessoriError, match="the file of questions is empty"):
        categories_for([], tmp_path / "m.jsonl", tmp_path / "question.jsonl")
