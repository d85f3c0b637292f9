"""`montessori score mt-bench`: means over judge runs and turns, and the published verdicts.

What would break: a model's published MT-Bench score cannot be found again, or a repeated row counts
as another judge run.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from montessori.cli import app
from montessori.errors import MontessoriError
from montessori.evals.published.judgments import Judgment, read_judgments
from montessori.evals.published.mt_bench_scores import score_judgments

CATEGORIES = {81: "writing", 91: "roleplay"}


def row(question: int, turn: int, grade: Any, time: float = 0.0, **changes: Any) -> dict[str, Any]:
    return {
        "question_id": question,
        "turn": turn,
        "score": grade,
        "tstamp": time,
        "model": "m",
        "judge": ["gpt-4", "single-v1"],
        "judgment": f"[[{grade}]]",
    } | changes


def run(*options: object) -> str:
    """What `montessori score mt-bench` prints."""
    result = CliRunner().invoke(app, ["score", "mt-bench", *map(str, options)])
    if isinstance(result.exception, MontessoriError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def figures(jsonl: Callable[..., Path]) -> Callable[..., dict[str, Any]]:
    """Scores of rows."""

    def of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        read = read_judgments(jsonl(rows))
        return score_judgments([found for found in read if isinstance(found, Judgment)], CATEGORIES)

    return of


def test_means_by_hand(figures: Callable[..., dict[str, Any]]) -> None:
    rows = [row(81, 1, 8), row(81, 2, 5), row(91, 1, 9), row(91, 2, 6), row(91, 1, 3, model="n")]
    found = figures([*rows, row(99, 1, 1)])["models"]
    first = found["m"]
    assert first["score"] == pytest.approx(29 / 5)
    assert first["turns"] == pytest.approx({"1": 6.0, "2": 5.5})
    assert first["categories"] == pytest.approx({"writing": 6.5, "roleplay": 7.5, "other": 1.0})
    assert first["categories_by_turn"]["2"] == pytest.approx({"writing": 5.0, "roleplay": 6.0})
    assert found["n"]["score"] == 3.0
    assert found["n"]["turns"] == {"1": 3.0}


def test_an_answer_judged_twice(figures: Callable[..., dict[str, Any]]) -> None:
    """FastChat's mean counts it twice; beside it the mean in which it counts once."""
    found = figures([row(81, 1, 4, 1), row(81, 1, 10, 2), row(91, 1, 1, 1), row(91, 2, 9, 1)])
    model = found["models"]["m"]
    assert model["score"] == pytest.approx(6.0)
    assert model["turns"]["1"] == pytest.approx(5.0)
    assert model["each_answer_once"]["score"] == pytest.approx(17 / 3)
    assert model["each_answer_once"]["turns"] == pytest.approx({"1": 4.0, "2": 9.0})
    assert model["each_answer_once"]["n_answers"] == 3
    runs = model["judge_runs"]
    assert (runs["answers"], runs["spread"], runs["largest_spread"]) == (1, 6.0, 6.0)
    assert runs["scores"] == []
    assert runs["median"] is None
    assert found["n_repeated"] == 1


def test_whole_judge_runs(figures: Callable[..., dict[str, Any]]) -> None:
    """Three verdicts an answer, in any order in the file: runs by time, median and spread."""
    grades = {81: (8, 5, 9), 91: (4, 3, 4)}
    rows = [row(q, 1, grade, time) for q, of in grades.items() for time, grade in enumerate(of)]
    runs = figures(rows[::-1])["models"]["m"]["judge_runs"]
    assert runs["scores"] == pytest.approx([6.0, 4.0, 6.5])
    assert (runs["median"], runs["lowest"], runs["highest"]) == (6.0, 4.0, 6.5)
    assert runs["median_score"] == pytest.approx(6.0)
    assert (runs["answers"], runs["spread"], runs["largest_spread"]) == (2, 2.5, 4.0)


def test_a_copied_row_is_no_judge_run(figures: Callable[..., dict[str, Any]]) -> None:
    found = figures([row(81, 1, 8), row(81, 1, 8), row(91, 1, 5)])
    model = found["models"]["m"]
    assert found["n_copies"] == 1
    assert model["score"] == pytest.approx(7.0)
    assert model["each_answer_once"]["score"] == pytest.approx(6.5)
    assert model["judge_runs"]["answers"] == 0


def test_what_is_left_out_is_counted(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl(
        [
            row(81, 1, 8),
            row(81, 2, -1, judgment="$ERROR$"),
            row(91, 1, 7, judgment="no rating"),
            row(91, 2, 12, judgment="[[12]]"),
            row(92, 1, 6, judgment="[[5]]"),
        ]
    )
    text = run("--judgments", path, "--json", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["left_out"] == {"failed": 1, "unparsed": 1, "out of range": 1}
    assert [shown["line"] for shown in found["left_out_rows"]] == [2, 3, 4]
    assert (found["n_rows"], found["n_graded"], found["n_disagreements"]) == (5, 2, 1)
    assert found["disagreements"][0] == {
        "line": 5,
        "model": "m",
        "question": 92,
        "turn": 1,
        "stored": 6.0,
        "parsed": 5.0,
        "why": "",
    }
    assert found["models"]["m"]["score"] == 7.0
    assert found["models"]["m"]["score_by_text"] == 6.5
    assert "2 of 5 rows graded; not counted: 1 failed, 1 unparsed, 1 out of range" in text
    assert "1 rows whose text has another rating" in text
    assert "by question number" in text


def test_turns_that_a_question_does_not_have_are_no_part_of_a_mean(
    jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [row(81, 1, 8), row(81, 2, 6), row(81, 0, 1), row(81, 3, 2), row(82, 3, 4)]
    out = tmp_path / "out.json"
    text = run("--judgments", jsonl(rows), "--json", out)
    found = json.loads(out.read_text())
    assert found["models"]["m"]["turns"] == {"1": 8.0, "2": 6.0}
    assert found["left_out"] == {"no such turn": 3}
    assert "2 of 5 rows graded; not counted: 3 no such turn" in text
    asked = [
        {"question_id": 81, "category": "a", "turns": ["x", "y"]},
        {"question_id": 82, "category": "a", "turns": ["x", "y", "z"]},
    ]
    run("--judgments", jsonl(rows), "--json", out, "--questions", jsonl(asked, "asked.jsonl"))
    assert json.loads(out.read_text())["left_out"] == {"no such turn": 2}


def test_no_grade_at_all(jsonl: Callable[..., Path], tmp_path: Path) -> None:
    path = jsonl([row(81, 1, -1, judgment="$ERROR$"), row(81, 2, 3, judgment="?")])
    with pytest.raises(MontessoriError, match="none of 2 rows has a rating: 1 failed, 1 unparsed"):
        run("--judgments", path, "--json", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_a_model_without_any_grade_is_shown(figures: Callable[..., dict[str, Any]]) -> None:
    found = figures([row(81, 1, 8), row(81, 1, -1, model="silent")])["models"]["silent"]
    assert found["score"] is None
    assert found["n_graded"] == 0
    assert found["judge_runs"]["answers"] == 0


def test_several_judges_are_said(jsonl: Callable[..., Path]) -> None:
    text = run("--judgments", jsonl([row(81, 1, 8), row(91, 1, 8, judge=["other", "p"])]))
    assert "judged by gpt-4, other, all in one mean" in text


def test_the_published_verdicts(mt_bench_files: Path, tmp_path: Path) -> None:
    """170 rows with four -1 and ten repeated answers; the means are computed here once more."""
    path = mt_bench_files / "model_judgment" / "llama3.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    means = {}
    for turn in (1, 2):
        grades = [r["score"] for r in rows if r["turn"] == turn and r["score"] != -1]
        means[str(turn)] = sum(grades) / len(grades)
    text = run("--judgments", path, "--json", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    (model,) = found["models"].values()
    assert model["turns"] == pytest.approx(means)
    assert model["turns"] == pytest.approx({"1": 721 / 86, "2": 581 / 80})
    assert model["score"] == pytest.approx((721 + 581) / 166)
    assert (found["n_rows"], found["n_graded"], found["left_out"]) == (170, 166, {"failed": 4})
    assert (found["n_repeated"], found["n_disagreements"], found["n_copies"]) == (10, 0, 0)
    once = model["each_answer_once"]
    assert once["turns"] == pytest.approx({"1": 662 / 80, "2": 581 / 80})
    assert once["n_answers"] == 160
    assert len(model["categories"]) == 8
    assert "166 of 170 rows graded; not counted: 4 failed" in text
