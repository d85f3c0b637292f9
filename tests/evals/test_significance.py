"""p-values by hand, and Holm's correction.

What would break: differences by chance are called significant more often than the stated level, or
real ones less often.
"""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from montessori.compare.bootstrap import draw_item_counts
from montessori.evals.significance import bootstrap_p, correct_by_holm
from tests.slow_twins.bootstrap import paired_bootstrap


def p_value(
    values: ArrayLike, baseline: ArrayLike, resamples: int = 10_000, seed: int = 0
) -> float:
    """The p-value of a difference of means, as the comparison computes it."""
    differences = np.asarray(values) - np.asarray(baseline)
    counts = np.concatenate(list(draw_item_counts(differences.size, resamples, seed)))
    return bootstrap_p(counts @ differences / differences.size, float(differences.mean()))


def test_three_items_by_hand() -> None:
    """All 27 resamples of three differences: the p-value is the share that reaches the mean."""
    differences = np.array([1.0, 2.0, 6.0])
    centred = differences - 3.0
    means = [abs(np.mean(drawn)) for drawn in itertools.product(centred, repeat=3)]
    expected = np.mean([mean >= 3.0 - 1e-9 for mean in means])
    assert expected == pytest.approx(1 / 27)
    found = p_value(differences + 5.0, np.full(3, 5.0), resamples=20_000)
    assert found == pytest.approx(expected, abs=0.005)


def test_equal_runs_and_far_ones() -> None:
    values = np.random.default_rng(0).normal(size=100)
    assert p_value(values, values) == 1.0
    assert p_value(values + 5.0, np.zeros(100), resamples=999) == 1 / 1000


def test_direction_does_not_matter() -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 50))
    forth, back = p_value(first, second), p_value(second, first)
    assert forth == pytest.approx(back, abs=0.02)


def test_pairing_removes_what_items_share() -> None:
    """Items that differ a lot from each other, and runs that differ a little on each of them."""
    random = np.random.default_rng(2)
    items = random.normal(scale=10.0, size=200)
    better = items + 0.3 + random.normal(scale=0.5, size=200)
    assert p_value(better, items) < 0.001
    assert p_value(better, random.permutation(items)) > 0.05


def test_p_values_are_uniform_without_a_difference() -> None:
    """Of 400 trials without a difference about 5 % are below 0.05, and a t test agrees."""
    random = np.random.default_rng(3)
    found, expected = [], []
    for trial in range(400):
        values = random.normal(size=60)
        found.append(p_value(values, np.zeros(60), resamples=500, seed=trial))
        expected.append(stats.ttest_1samp(values, 0.0).pvalue)
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09
    assert np.corrcoef(found, expected)[0, 1] > 0.98


def test_the_p_value_is_that_of_a_loop_over_samples() -> None:
    random = np.random.default_rng(5)
    for items in (1, 2, 17, 80):
        ours, theirs = random.normal(0.2, 1.0, size=(2, items)) + [[0.1], [0.0]]
        assert p_value(ours, theirs, 300, seed=items) == paired_bootstrap(ours, theirs, 300, items)


def test_a_p_value_is_that_of_scipys_permutation_test() -> None:
    """Both ask how often chance alone reaches the observed difference of two paired runs."""
    deltas = np.random.default_rng(5).normal(1.0, 10.0, size=300)
    found = p_value(deltas, np.zeros(300), seed=6)
    expected = stats.permutation_test(
        (deltas, np.zeros(300)),
        lambda ours, theirs: np.mean(ours - theirs),
        permutation_type="samples",
        n_resamples=10_000,
        rng=7,
    )
    assert 0.02 < found < 0.3
    assert found == pytest.approx(expected.pvalue, abs=0.02)


def test_holm_by_hand() -> None:
    corrected = correct_by_holm({"b": 0.04, "a": 0.01, "d": 0.8, "c": 0.03})
    assert list(corrected) == ["b", "a", "d", "c"]
    assert corrected == pytest.approx({"a": 0.04, "c": 0.09, "b": 0.09, "d": 0.8})
    assert correct_by_holm({"x": 0.7, "y": 0.6}) == pytest.approx({"x": 1.0, "y": 1.0})
    assert correct_by_holm({}) == {}
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="no p-value: x"):
            correct_by_holm({"x": value})


def holm_by_definition(p_values: list[float]) -> list[float]:
    """The largest of (m - rank) p over the value itself and all smaller ones, at most 1."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    for rank, index in enumerate(order):
        scaled = [(len(order) - k) * p_values[order[k]] for k in range(rank + 1)]
        corrected[index] = min(1.0, max(scaled))
    return corrected


@given(st.lists(st.floats(0.0, 1.0), max_size=12))
def test_holm_is_its_definition_and_never_below_the_value(p_values: list[float]) -> None:
    corrected = correct_by_holm(dict(enumerate(p_values)))
    assert list(corrected.values()) == pytest.approx(holm_by_definition(p_values))
    assert all(corrected[index] >= p_values[index] for index in corrected)
    for first, second in itertools.pairwise(sorted(corrected, key=p_values.__getitem__)):
        assert corrected[first] <= corrected[second]


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8), st.floats(0.0, 1.0))
def test_one_more_comparison_makes_no_p_value_smaller(p_values: list[float], more: float) -> None:
    few, many = (
        correct_by_holm(dict(enumerate(p_values))),
        correct_by_holm(dict(enumerate([*p_values, more]))),
    )
    assert all(many[index] >= few[index] - 1e-12 for index in few)
