"""p-values by hand, and Holm's correction.

What would break: differences by chance are called significant more often than the stated level, or
real ones less often.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from montessori.evals.significance import holm, paired_bootstrap


def test_three_items_by_hand() -> None:
    """All 27 resamples of three differences: the p-value is the share that reaches the mean."""
    differences = np.array([1.0, 2.0, 6.0])
    centred = differences - 3.0
    means = [abs(np.mean(drawn)) for drawn in itertools.product(centred, repeat=3)]
    expected = np.mean([mean >= 3.0 - 1e-9 for mean in means])
    assert expected == pytest.approx(1 / 27)
    found = paired_bootstrap(differences + 5.0, np.full(3, 5.0), resamples=20_000)
    assert found == pytest.approx(expected, abs=0.005)


def test_equal_runs_and_far_ones() -> None:
    values = np.random.default_rng(0).normal(size=100)
    assert paired_bootstrap(values, values) == 1.0
    assert paired_bootstrap(values + 5.0, np.zeros(100), resamples=999) == 1 / 1000


def test_direction_does_not_matter() -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 50))
    forth, back = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert forth == pytest.approx(back, abs=0.02)


def test_pairing_removes_what_items_share() -> None:
    """Items that differ a lot from each other, and runs that differ a little on each of them."""
    random = np.random.default_rng(2)
    items = random.normal(scale=10.0, size=200)
    better = items + 0.3 + random.normal(scale=0.5, size=200)
    assert paired_bootstrap(better, items) < 0.001
    assert paired_bootstrap(better, random.permutation(items)) > 0.05


def test_p_values_are_uniform_without_a_difference() -> None:
    """Of 400 trials without a difference about 5 % are below 0.05, and a t test agrees."""
    random = np.random.default_rng(3)
    found, expected = [], []
    for trial in range(400):
        values = random.normal(size=60)
        found.append(paired_bootstrap(values, np.zeros(60), resamples=500, seed=trial))
        expected.append(stats.ttest_1samp(values, 0.0).pvalue)
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09
    assert np.corrcoef(found, expected)[0, 1] > 0.98


@pytest.mark.parametrize(
    ("values", "baseline", "message"),
    [
        ([1.0, 2.0], [1.0], "2 and 1"),
        ([], [], "0 and 0"),
        ([[1.0]], [[1.0]], "equal items"),
        ([1.0, math.nan], [1.0, 1.0], "NaN"),
        ([1.0, 1.0], [1.0, math.nan], "NaN"),
    ],
)
def test_what_cannot_be_paired(values: list, baseline: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(values, baseline)


def test_holm_by_hand() -> None:
    corrected = holm({"b": 0.04, "a": 0.01, "d": 0.8, "c": 0.03})
    assert list(corrected) == ["b", "a", "d", "c"]
    assert corrected == pytest.approx({"a": 0.04, "c": 0.09, "b": 0.09, "d": 0.8})
    assert holm({"x": 0.7, "y": 0.6}) == pytest.approx({"x": 1.0, "y": 1.0})
    assert holm({}) == {}
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="no p-value: x"):
            holm({"x": value})
