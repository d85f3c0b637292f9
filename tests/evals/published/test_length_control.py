"""The published length-controlled fit, by hand and against the package.

What would break: length-controlled win rates differ from the leaderboard's by more than rounding.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from montessori.evals.published.annotations import read_annotations
from montessori.evals.published.length_control import Gamed, Weights, fit_weights, length_term
from montessori.sources.alpaca_tables import read_difficulty

NAMES = ("length_controlled_minimal", "length_controlled_noreg", "length_controlled_v1")


def test_prediction_by_hand() -> None:
    weights = Weights(length=-2.0, difficulty=0.5, constant=-1.0)
    difficulty = np.array([2.0, 4.0])
    np.testing.assert_allclose(weights.predict(difficulty), [0.5, 1 / (1 + math.exp(-1))])
    at_length = weights.predict(difficulty, np.array([0.5, 0.0]))
    np.testing.assert_allclose(at_length, [1 / (1 + math.exp(1)), 1 / (1 + math.exp(-1))])


def test_length_term_by_hand() -> None:
    term = length_term(np.array([10.0, 10.0, 10.0, math.nan]), np.array([9.0, 10.0, 11.0, 5.0]))
    expected = [math.tanh(1), 0, math.tanh(-1), math.nan]  # the sd of 1, 0, -1 is 1
    np.testing.assert_allclose(term, expected)
    np.testing.assert_array_equal(length_term(np.full(3, 9.0), np.full(3, 4.0)), np.zeros(3))
    np.testing.assert_array_equal(length_term(np.array([9.0]), np.array([4.0])), [0.0])


def test_a_judge_of_length_alone_is_undecided_at_equal_length() -> None:
    random = np.random.default_rng(0)
    length = np.tanh(random.normal(-1.0, 1.0, 500))
    preference = 1.0 / (1.0 + np.exp(3.0 * length))
    weights = fit_weights(preference, length)
    assert preference.mean() > 0.65
    assert weights.predict(np.zeros(500)).mean() == pytest.approx(0.5, abs=0.01)
    assert weights.length == pytest.approx(-3.0, abs=0.1)


def test_difficulty_is_found_again() -> None:
    random = np.random.default_rng(1)
    length, difficulty = np.tanh(random.normal(size=(2, 600)))
    truth = Weights(length=-1.0, difficulty=2.0, constant=0.7)
    found = fit_weights(truth.predict(difficulty, length), length, difficulty)
    assert (found.length, found.difficulty) == pytest.approx((-1.0, 2.0), abs=0.05)
    assert found.constant == pytest.approx(0.7, abs=0.05)


def test_gamed_rows_hold_the_length() -> None:
    """Rows whose preference ignores length pull its coefficient towards 0."""
    random = np.random.default_rng(2)
    length, difficulty = np.tanh(random.normal(size=(2, 400)))
    preference = Weights(-3.0, 0.0, 1.0).predict(difficulty, length)
    gamed = Gamed(np.full(4000, 0.5), random.normal(size=4000), np.zeros(4000))
    assert fit_weights(preference, length, difficulty).length < -2.9
    assert -2.5 < fit_weights(preference, length, difficulty, gamed).length < -1.0


def test_the_constant_belongs_to_the_model_alone() -> None:
    random = np.random.default_rng(2)
    length, difficulty = np.tanh(random.normal(size=(2, 400)))
    other = random.normal(size=4000)
    gamed = Gamed(
        Weights(-3.0, 0.0, 0.0).predict(np.zeros(4000), np.tanh(other)), other, np.zeros(4000)
    )
    preference = Weights(-3.0, 0.0, 1.0).predict(difficulty, length)
    assert fit_weights(preference, length, difficulty, gamed).constant == pytest.approx(
        1.0, abs=0.05
    )


def test_rows_with_gaps_have_no_part() -> None:
    random = np.random.default_rng(3)
    length = np.tanh(random.normal(size=50))
    preference = random.random(50)
    whole = fit_weights(preference, length)
    gaps = np.array([math.nan, 0.3]), np.array([0.5, math.nan])
    assert fit_weights(np.append(preference, gaps[0]), np.append(length, gaps[1])) == whole
    with pytest.raises(ValueError, match="4 rows cannot be divided into 5 folds"):
        fit_weights(preference[:4], length[:4])


def test_one_side_wins_everything() -> None:
    won = fit_weights(np.ones(40), np.tanh(np.linspace(-2, 2, 40)))
    assert 0.99 < won.predict(np.zeros(1))[0] < 1.0


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", NAMES)
def test_the_published_package_finds_the_same(
    alpaca_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The fit on real verdicts, with a table of gamed answers made up, as alpaca_eval has it."""
    pd = pytest.importorskip("pandas")
    glm = pytest.importorskip("alpaca_eval.metrics.glm_winrate")
    path = alpaca_files / "results" / "gemma-2b-it" / "annotations.weighted_gpt4_turbo.json"
    frame = pd.DataFrame(json.loads(path.read_text()))
    frame.loc[[3, 400], "preference"] = math.nan
    path = tmp_path / "annotations.json"
    path.write_text(frame.to_json(orient="records"))
    difficulty = read_difficulty(alpaca_files / "derived" / "instruction_difficulty_recovered.csv")
    random = np.random.default_rng(4)
    gamed = Gamed(random.random(1610), random.normal(size=1610), np.tile(difficulty, 2))
    pd.DataFrame(
        {
            "index": np.tile(np.arange(805), 2),
            "model": "gamed",
            "preference": gamed.preference,
            "std_delta_len": gamed.length,
            "instruction_difficulty": gamed.difficulty,
            "not_gamed_baseline": False,
        }
    ).to_csv(tmp_path / "df_gamed.csv", index=False)
    monkeypatch.setattr(glm, "hf_hub_download", lambda **_: str(tmp_path / "df_gamed.csv"))
    with pytest.importorskip("sklearn").config_context():
        theirs = glm.get_length_controlled_winrate(frame, glm_name=name, save_weights_dir=None)
    read = read_annotations(path)
    length = length_term(read.reference_length, read.length)
    weights = fit_weights(
        read.preference,
        length,
        None if name == NAMES[0] else difficulty,
        gamed if name == NAMES[2] else None,
    )
    rate = 100.0 * weights.predict(difficulty).mean()
    assert rate == pytest.approx(theirs["length_controlled_winrate"], abs=1e-9)
