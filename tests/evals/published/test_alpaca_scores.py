"""`montessori score alpaca-eval` on published annotations: rates by hand and by the package.

What would break: the command does not reproduce the leaderboard, or hides which rows it could not
use.
"""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from montessori.cli import app
from montessori.errors import MontessoriError
from montessori.evals.published.alpaca_scores import control_length, score_comparison, win_rates
from montessori.evals.published.annotations import Comparison, read_annotations
from montessori.evals.published.length_control_files import LengthControlFiles
from tests.evals.published.published_files import HEAD, write

MODELS = ("alpaca-7b", "gemma-2b-it", "vicuna-7b-v1.5")
TWENTY = [1.0, 1.25, 1.5, 2.0, 1.75] * 4


@pytest.fixture
def comparison(annotations: Callable[..., Path]) -> Comparison:
    return read_annotations(annotations(TWENTY))


def run(*options: object) -> str:
    """What `montessori score alpaca-eval` prints."""
    result = CliRunner().invoke(app, ["score", "alpaca-eval", *map(str, options)])
    if isinstance(result.exception, MontessoriError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def published(path: Path, name: str) -> dict[str, Any]:
    with (path / "weighted_alpaca_eval_gpt4_turbo_leaderboard.csv").open() as file:
        return next(row for row in csv.DictReader(file) if row[""] == name)


def test_win_rates_by_hand() -> None:
    figures = win_rates(np.array([0.0, 0.2, 0.5, 1.0, math.nan, 0.8]))
    assert figures["win_rate"] == pytest.approx(50.0)
    squares = 0.25 + 0.09 + 0.0 + 0.25 + 0.09
    assert figures["standard_error"] == pytest.approx(100 * math.sqrt(squares / 4 / 5))
    assert figures["discrete_win_rate"] == pytest.approx(50.0)
    counts = [figures[key] for key in ("n_wins", "n_wins_base", "n_draws", "n_total")]
    assert counts == [2, 2, 1, 5]
    with pytest.raises(ValueError, match="no preference"):
        win_rates(np.array([math.nan]))


def test_win_rates_are_those_of_the_package() -> None:
    package = pytest.importorskip("alpaca_eval.metrics")
    pd = pytest.importorskip("pandas")
    preference = np.random.default_rng(0).random(300).round(2)
    preference[:6] = [0.5, 0.0, 1.0, 0.5, 0.4999, 0.5001]
    preference[20:25] = math.nan
    theirs = package.get_winrate(
        pd.DataFrame({"preference": preference[~np.isnan(preference)] + 1})
    )
    ours = win_rates(preference)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value), key


@pytest.mark.parametrize("model", MODELS)
def test_the_leaderboard_is_met(alpaca_files: Path, tmp_path: Path, model: str) -> None:
    path = alpaca_files / "results" / model / "annotations.weighted_gpt4_turbo.json"
    text = run("--annotations", path, "--json", tmp_path / "out.json")
    figures = json.loads((tmp_path / "out.json").read_text())
    board = published(alpaca_files, model)
    for key in ("win_rate", "standard_error", "discrete_win_rate"):
        assert figures[key] == pytest.approx(float(board[key]), abs=1e-9), key
    for key in ("n_wins", "n_wins_base", "n_draws", "n_total", "avg_length"):
        assert figures[key] == int(board[key]), key
    published_rate = float(board["length_controlled_winrate"])
    assert figures["length_controlled_method"] == "published-weights"
    assert figures["length_controlled_winrate"] == pytest.approx(published_rate, abs=1e-4)
    fitted = figures["length_controlled_by_method"]["fit-with-difficulty"]
    assert 0.4 < abs(fitted - published_rate) < 2.9
    assert "the published regression of this model" in text
    assert figures["files"].keys() == {"weights", "difficulty", "reference_outputs"}


def test_without_the_files_the_fit_says_that_it_is_approximate(
    alpaca_files: Path, tmp_path: Path
) -> None:
    path = alpaca_files / "results" / MODELS[0] / "annotations.weighted_gpt4_turbo.json"
    text = run("--annotations", path, "--no-find", "--json", tmp_path / "out.json")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["length_controlled_method"] == "fit-minimal"
    assert "approximate" in text
    assert figures["files"] == {}


def test_published_weights_are_only_taken_for_their_own_verdicts(
    alpaca_files: Path, tmp_path: Path
) -> None:
    """The same answers judged otherwise: the leaderboard's rate must not be reported for them."""
    path = alpaca_files / "results" / MODELS[0] / "annotations.weighted_gpt4_turbo.json"
    rows = json.loads(path.read_text())
    for row in rows[:100]:
        row["preference"] = 2.0
    changed = tmp_path / "annotations.json"
    changed.write_text(json.dumps(rows))
    weights = alpaca_files / "lc_glm_weights_baseline_gpt4_1106_preview.csv"
    difficulty = alpaca_files / "derived" / "instruction_difficulty_recovered.csv"
    comparison = read_annotations(changed)
    control = control_length(comparison, LengthControlFiles(weights=weights, difficulty=difficulty))
    assert control.method == "fit-with-difficulty"
    assert "belong to other verdicts" in control.notes[-1]
    with pytest.raises(MontessoriError, match="belong to other verdicts"):
        run("--annotations", changed, "--weights", weights, "--difficulty", difficulty)


def test_methods_by_what_there_is(comparison: Comparison, tmp_path: Path) -> None:
    lines = "".join(f"{i},{i / 10}\n" for i in range(20))
    difficulty = write(tmp_path / "d.csv", "index,instruction_difficulty\n" + lines)
    gamed = write(
        tmp_path / "g.csv",
        "index,preference,std_delta_len,instruction_difficulty\n"
        + "".join(f"{i},{i / 20},{i - 9},{i / 10}\n" for i in range(20)),
    )
    for files, method in (
        (LengthControlFiles(), "fit-minimal"),
        (LengthControlFiles(difficulty=difficulty), "fit-with-difficulty"),
        (LengthControlFiles(difficulty=difficulty, gamed=gamed), "published-fit"),
        (LengthControlFiles(gamed=gamed), "published-fit"),
    ):
        control = control_length(comparison, files)
        assert control.method == method
        figures = score_comparison(comparison, control)
        rate = figures["length_controlled_winrate"]
        assert rate == pytest.approx(100 * control.predicted[method].mean())
        spread = 100 * control.predicted[method].std(ddof=1) / math.sqrt(20)
        assert figures["lc_standard_error"] == pytest.approx(spread)


def test_weights_by_hand(comparison: Comparison, tmp_path: Path) -> None:
    lines = "".join(f"{i},{i % 2}\n" for i in range(20))
    difficulty = write(tmp_path / "d.csv", "index,instruction_difficulty\n" + lines)
    weights = write(tmp_path / "w.csv", HEAD + "model,0,0.5,-0.25\nother,0,0,0\n")
    files = LengthControlFiles(weights=weights, difficulty=difficulty)
    figures = score_comparison(comparison, control_length(comparison, files, required=True))
    expected = 50 / (1 + math.exp(0.25)) + 50 / (1 + math.exp(-0.25))
    assert figures["length_controlled_winrate"] == pytest.approx(expected)
    assert figures["length_controlled_method"] == "published-weights"


def test_weights_that_cannot_be_used(comparison: Comparison, tmp_path: Path) -> None:
    weights = write(tmp_path / "w.csv", HEAD + "other,0,0,0\n")
    mine = write(tmp_path / "mine.csv", HEAD + "model,0,0,0\n")
    difficulty = write(
        tmp_path / "d.csv",
        "index,instruction_difficulty\n" + "".join(f"{i},0\n" for i in range(20)),
    )
    far = write(tmp_path / "far.csv", HEAD + "model,0,0,3\n")
    silent = replace(comparison, length=np.full(20, math.nan))
    for subject, files, message in (
        (comparison, LengthControlFiles(weights=weights), "no published weights of model"),
        (comparison, LengthControlFiles(weights=mine), "need instruction difficulty"),
        (
            silent,
            LengthControlFiles(weights=mine, difficulty=difficulty),
            "cannot be checked without",
        ),
        (
            comparison,
            LengthControlFiles(weights=far, difficulty=difficulty),
            "predict a win rate of 95.26, the verdicts give 50.00",
        ),
    ):
        control = control_length(subject, files)
        assert "published-weights" not in control.predicted
        assert message in control.notes[-1]
        with pytest.raises(MontessoriError, match=message):
            control_length(subject, files, required=True)


def test_lengths_that_are_missing_are_said(comparison: Comparison) -> None:
    some = replace(comparison, length=np.append(comparison.length[:-2], [math.nan] * 2))
    control = control_length(some, LengthControlFiles())
    assert control.notes == ("2 rows have no length: not in the fits",)
    none = replace(comparison, length=np.full(20, math.nan))
    figures = score_comparison(none, control_length(none, LengthControlFiles()))
    assert figures["length_controlled_method"] == "none"
    assert figures["length_controlled_winrate"] is None
    assert figures["avg_length"] is None
    assert "too few for a fit" in figures["notes"][-1]


def test_difficulties_of_other_instructions_are_not_used(
    comparison: Comparison, tmp_path: Path
) -> None:
    difficulty = write(tmp_path / "d.csv", "index,instruction_difficulty\n0,1\n1,2\n")
    control = control_length(comparison, LengthControlFiles(difficulty=difficulty))
    assert control.method == "fit-minimal"
    assert "not those it was made for" in control.notes[0]


def test_a_model_against_itself(annotations: Callable[..., Path]) -> None:
    comparison = read_annotations(annotations([1.5] * 8, generator_2="reference"))
    figures = score_comparison(comparison, control_length(comparison, LengthControlFiles()))
    assert figures["length_controlled_winrate"] == figures["win_rate"] == 50.0
    assert figures["length_controlled_method"] == "reference-itself"


def test_left_out_rows_and_duplicates_are_counted_and_told(
    annotations: Callable[..., Path], tmp_path: Path
) -> None:
    path = annotations([1, 2, 2, None, "7"], instruction="the same")
    text = run("--annotations", path, "--json", tmp_path / "out.json")
    figures = json.loads((tmp_path / "out.json").read_text())
    counts = [figures[key] for key in ("n_rows", "n_total", "n_unparsed", "n_invalid")]
    assert counts == [5, 3, 1, 1]
    assert figures["n_duplicates"] == 4
    assert figures["win_rate"] == pytest.approx(200 / 3)
    assert "not counted: 1 without a preference, 1 whose preference is not a number" in text
    assert "4 rows repeat an instruction" in text


def test_each_instruction_once(annotations: Callable[..., Path]) -> None:
    comparison = read_annotations(annotations([1, 2, 2, None]))
    comparison = replace(comparison, instructions=("a", "b", "b", "b"))
    figures = score_comparison(comparison, control_length(comparison, LengthControlFiles()))
    assert figures["win_rate"] == pytest.approx(200 / 3)
    assert figures["win_rate_by_instruction"] == pytest.approx(50.0)


def test_no_verdict_at_all(annotations: Callable[..., Path], tmp_path: Path) -> None:
    path = annotations([None, None, "5"])
    with pytest.raises(MontessoriError, match="none of 3 rows has a verdict: 2 without") as caught:
        run("--annotations", path, "--json", tmp_path / "out.json")
    assert caught.value.where == str(path)
    assert not (tmp_path / "out.json").exists()


def test_one_row(annotations: Callable[..., Path], tmp_path: Path) -> None:
    run("--annotations", annotations([2]), "--json", tmp_path / "out.json")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert (figures["win_rate"], figures["standard_error"]) == (100.0, 0.0)
