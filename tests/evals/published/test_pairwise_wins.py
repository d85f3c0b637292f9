"""Pairwise MT-Bench: a win needs both orders.

What would break: a judge's taste for the first answer becomes wins, or wins count for the wrong
model.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from montessori.cli import app
from montessori.errors import MontessoriError
from montessori.evals.published.pairwise_wins import overall_winner, win_loss_rates


def pair(question: int, first: str, second: str, **changes: Any) -> dict[str, Any]:
    """A comparison of a with b, `first` and `second` the winners of the two orders."""
    return {
        "question_id": question,
        "turn": 1,
        "model_1": "a",
        "model_2": "b",
        "g1_winner": first,
        "g2_winner": second,
        "judge": ["gpt-4", "pair-v2"],
    } | changes


@pytest.fixture
def wins(jsonl: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[dict[str, Any], str]]:
    """Figures and lines of `montessori score mt-bench` on comparisons."""

    def of(rows: list[dict[str, Any]], *options: str) -> tuple[dict[str, Any], str]:
        out = tmp_path / "out.json"
        command = ["score", "mt-bench", "--judgments", str(jsonl(rows)), "--json", str(out)]
        result = CliRunner().invoke(app, [*command, *options])
        if isinstance(result.exception, MontessoriError):
            raise result.exception
        return json.loads(out.read_text()), result.output

    return of


def test_a_win_needs_both_orders() -> None:
    assert overall_winner(("a", "a")) == "a"
    assert (
        overall_winner(("a", "b"))
        == overall_winner(("a", "tie"))
        == overall_winner(("tie", "tie"))
        == "tie"
    )
    assert overall_winner(("a", "error")) == overall_winner(("error", "error")) == "error"


def test_rows_of_a_model_with_itself_and_of_no_turn_do_not_count(
    wins: Callable[..., tuple[dict[str, Any], str]],
) -> None:
    rows = [
        pair(81, "model_1", "model_1"),
        pair(82, "model_1", "model_1", model_2="a"),
        pair(83, "model_1", "model_1", turn=3),
    ]
    found, text = wins(rows)
    assert found["left_out"] == {"error": 0, "compared with itself": 1, "no such turn": 1}
    assert (found["n_counted"], found["models"]["a"]["n_wins"]) == (1, 1)
    assert "1 of 3 comparisons counted; not counted: 1 compared with itself, 1 no such turn" in text


def test_rates_by_hand() -> None:
    assert win_loss_rates(["win", "win", "tie", "loss", "tie"]) == pytest.approx(
        {
            "n_wins": 2,
            "n_losses": 1,
            "n_ties": 2,
            "win_rate": 40.0,
            "loss_rate": 20.0,
            "win_rate_adjusted": 60.0,
        }
    )


def test_wins_by_model_turn_and_category(wins: Callable[..., tuple[dict[str, Any], str]]) -> None:
    won, lost, tie = ("model_1",) * 2, ("model_2",) * 2, ("tie",) * 2
    rows = [
        pair(81, *won),
        pair(82, *won),
        pair(91, *lost),
        pair(92, *tie, turn=2),
        pair(93, "model_1", "model_2"),
        pair(94, "error", "model_1"),
    ]
    figures, text = wins(rows)
    first, second = figures["models"]["a"], figures["models"]["b"]
    assert (first["n_wins"], first["n_losses"], first["n_ties"]) == (2, 1, 2)
    assert first["win_rate_adjusted"] == pytest.approx(60.0)
    assert second["win_rate_adjusted"] == pytest.approx(40.0)
    assert first["turns"]["1"]["win_rate"] == pytest.approx(50.0)
    assert first["categories"]["writing"]["win_rate"] == pytest.approx(100.0)
    assert first["categories"]["roleplay"]["win_rate_adjusted"] == pytest.approx(100 / 3)
    assert (figures["n_rows"], figures["n_counted"], figures["left_out"]) == (6, 5, {"error": 1})
    assert figures["n_inconsistent"] == 1
    assert "5 of 6 comparisons counted; not counted: 1 error" in text


def test_texts_that_name_another_winner(wins: Callable[..., tuple[dict[str, Any], str]]) -> None:
    agree = {"g1_judgment": "[[A]]", "g2_judgment": "[[B]]"}
    rows = [pair(81, *("model_1",) * 2, **agree), pair(82, *("model_2",) * 2, **agree)]
    figures, _ = wins(rows)
    assert figures["n_disagreements"] == 1


def test_against_one_baseline(wins: Callable[..., tuple[dict[str, Any], str]]) -> None:
    other = {"model_2": "c"}
    rows = [pair(81, *("model_1",) * 2), pair(81, *("model_2",) * 2, **other)]
    figures, _ = wins(rows, "--baseline", "b")
    assert list(figures["models"]) == ["a"]
    assert figures["models"]["a"]["win_rate"] == 100.0
    assert (figures["n_counted"], figures["n_without_baseline"]) == (1, 1)
    with pytest.raises(MontessoriError, match="none of 2 comparisons counts"):
        wins(rows, "--baseline", "absent")
