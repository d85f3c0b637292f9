"""Win rates and their length control, by hand and against the published package.

What would break: a model that only writes longer answers is said to be better, or bootstrap samples
fit another model than the rate itself.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from montessori.evals.lab_benchmarks import ridge_length_control
from montessori.evals.lab_benchmarks.ridge_length_control import PENALTY, length_controlled_rate
from montessori.evals.published import length_control
from montessori.evals.statistics import win_rate
from tests.slow_twins.bootstrap import resample_counts

RESULTS = Path(__file__).parents[4] / "shared" / "data" / "alpaca_eval"


@pytest.fixture
def judged() -> tuple[np.ndarray, np.ndarray]:
    """Preferences that follow quality and, more, length: (items,) twice."""
    random = np.random.default_rng(1)
    difference = random.normal(20.0, 60.0, size=400).round()
    chance = 1.0 / (1.0 + np.exp(-(0.3 + 1.5 * np.tanh(difference / 60.0))))
    return (random.random(400) < chance).astype(float), difference


def test_win_rate_by_hand() -> None:
    rate, error = win_rate([1.0, 0.0, 0.5, 1.0])
    assert rate == 62.5
    deviations = np.array([0.375, -0.625, -0.125, 0.375])
    assert error == pytest.approx(100 * np.sqrt((deviations**2).sum() / 3 / 4))


def test_ties_give_fifty_and_extremes_stay_finite() -> None:
    difference = np.arange(400.0) - 100.0
    assert length_controlled_rate(np.full(400, 0.5), difference)[0] == pytest.approx(50.0)
    high = length_controlled_rate(np.ones(400), difference)[0]
    low = length_controlled_rate(np.zeros(400), difference)[0]
    assert 99.5 < high < 100.0
    assert high + low == pytest.approx(100.0)
    separable = length_controlled_rate((difference > 0).astype(float), difference)[0]
    assert np.isfinite(separable)


def test_equal_lengths_leave_the_win_rate() -> None:
    preference = np.array([1.0, 1.0, 0.0, 0.5] * 100)
    for difference in (np.zeros(400), np.full(400, 7.0)):
        assert length_controlled_rate(preference, difference)[0] == pytest.approx(62.5, abs=0.05)


def test_a_judge_of_length_alone_is_controlled(judged: tuple[np.ndarray, np.ndarray]) -> None:
    preference, difference = judged
    assert win_rate(preference)[0] > length_controlled_rate(preference, difference)[0] + 3.0
    swapped = length_controlled_rate(1.0 - preference, -difference)[0]
    assert swapped == pytest.approx(100.0 - length_controlled_rate(preference, difference)[0])


def test_newton_finds_the_minimum_that_a_general_optimiser_finds(
    judged: tuple[np.ndarray, np.ndarray],
) -> None:
    preference, difference = judged
    length = np.tanh(difference / difference.std(ddof=1))

    def loss(b: np.ndarray) -> float:
        logits = b[0] + b[1] * length
        fit = np.logaddexp(0.0, logits) - preference * logits
        return float(fit.sum() + PENALTY / 2 * (b**2).sum())

    constant = minimize(loss, np.zeros(2), tol=1e-12).x[0]
    expected = 100.0 / (1.0 + np.exp(-constant))
    assert length_controlled_rate(preference, difference)[0] == pytest.approx(expected, abs=1e-4)


def test_resamples_equal_refits_of_the_drawn_items(judged: tuple[np.ndarray, np.ndarray]) -> None:
    preference, difference = judged
    counts = resample_counts(400, 5, seed=4)
    together = length_controlled_rate(preference, difference, counts)
    for row, rate in zip(counts.astype(int), together, strict=True):
        drawn = np.repeat(np.arange(400), row)
        alone = length_controlled_rate(preference[drawn], difference[drawn])[0]
        assert rate == pytest.approx(alone, abs=1e-6)


def published_rate(preference: np.ndarray, difference: np.ndarray) -> float:
    """The rate by the published fit; its term for the length has the opposite sign."""
    term = length_control.length_term(np.zeros_like(difference), difference)
    weights = length_control.fit_weights(preference, term)
    return 100.0 * float(weights.predict(np.zeros(1))[0])


def test_both_fits_agree_where_neither_penalises(
    judged: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ridge here, L1 in the published fit: without a penalty both are maximum likelihood."""
    monkeypatch.setattr(ridge_length_control, "PENALTY", 1e-9)
    monkeypatch.setattr(length_control, "STRENGTHS", np.array([1e6]))  # inverse penalties
    rate = length_controlled_rate(*judged)[0]
    assert rate == pytest.approx(published_rate(*judged), abs=0.01)


def test_both_fits_are_near_with_the_penalties_they_have(
    judged: tuple[np.ndarray, np.ndarray],
) -> None:
    assert length_controlled_rate(*judged)[0] == pytest.approx(published_rate(*judged), abs=0.5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("model", ["alpaca-7b", "gemma-2b-it", "vicuna-7b-v1.5"])
def test_the_published_package_agrees(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On real judgements: the win rate exactly, the length-controlled one within 0.5 points."""
    if not RESULTS.is_dir():
        pytest.skip("the shared folder with AlpacaEval's published judgements is absent")
    pd = pytest.importorskip("pandas")
    glm = pytest.importorskip("alpaca_eval.metrics.glm_winrate")
    path = RESULTS / "results" / model / "annotations.weighted_gpt4_turbo.json"
    frame = pd.DataFrame(json.loads(path.read_text()))
    frame = frame[frame.preference.notna()].reset_index(drop=True)
    frame["index"] = range(len(frame))
    gamed = tmp_path / "df_gamed.csv"
    frame.assign(
        model="gamed", std_delta_len=0.0, instruction_difficulty=0.0, not_gamed_baseline=False
    )[
        [
            "index",
            "model",
            "preference",
            "std_delta_len",
            "instruction_difficulty",
            "not_gamed_baseline",
        ]
    ].to_csv(gamed, index=False)
    monkeypatch.setattr(glm, "hf_hub_download", lambda **_: str(gamed))
    with pytest.importorskip("sklearn").config_context():
        theirs = glm.get_length_controlled_winrate(
            frame.copy(), glm_name="length_controlled_minimal", save_weights_dir=None
        )
    preference = frame.preference.to_numpy() - 1.0
    difference = (frame.output_2.str.len() - frame.output_1.str.len()).to_numpy()
    rate, error = win_rate(preference)
    assert rate == pytest.approx(theirs["win_rate"])
    assert error == pytest.approx(theirs["standard_error"])
    ours = length_controlled_rate(preference, difference)[0]
    assert ours == pytest.approx(theirs["length_controlled_winrate"], abs=0.5)
    board = pd.read_csv(RESULTS / "weighted_alpaca_eval_gpt4_turbo_leaderboard.csv", index_col=0)
    assert rate == pytest.approx(board.loc[model, "win_rate"])
    assert error == pytest.approx(board.loc[model, "standard_error"])
