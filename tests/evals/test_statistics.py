"""Intervals and tests over items and over seeds, against SciPy.

What would break: an interval does not cover what it promises, or seeds are paired with the wrong
ones.
"""

import numpy as np
import pytest
from scipy import stats

from montessori.compare import bootstrap
from montessori.compare.bootstrap import draw_item_counts
from montessori.evals.statistics import (
    compare_over_seeds,
    percentile_interval,
    resampled_mean,
    t_interval,
    t_test,
)
from tests.slow_twins.bootstrap import resample_counts


def test_a_sample_draws_as_many_items_as_there_are() -> None:
    (counts,) = draw_item_counts(50, 200, seed=1)
    assert counts.shape == (200, 50)
    assert (counts.sum(axis=1) == 50).all()
    (again,), (other,) = draw_item_counts(50, 200, seed=1), draw_item_counts(50, 200, seed=2)
    assert (counts == again).all()
    assert (counts != other).any()


@pytest.mark.parametrize("cells", [1, 49, 50, 125, 10**9])
def test_samples_do_not_depend_on_how_many_are_drawn_at_once(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "CELLS", cells)
    blocks = list(draw_item_counts(50, 7, seed=3))
    assert [len(block) for block in blocks[:-1]] == [max(1, cells // 50)] * (len(blocks) - 1)
    assert (np.concatenate(blocks) == resample_counts(50, 7, seed=3)).all()


def test_resampled_mean_is_the_mean_of_the_drawn_items() -> None:
    values = np.array([3.0, 5.0, 10.0])
    assert resampled_mean(values, np.array([[2.0, 0.0, 1.0]])) == pytest.approx([16.0 / 3.0])


def test_interval_covers_what_it_promises() -> None:
    """The interval of the mean of 80 draws holds the true mean in about 95 % of 300 trials."""
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(300):
        values = random.normal(2.0, 1.0, size=80)
        samples = resampled_mean(values, resample_counts(80, 500, seed=trial))
        low, high = percentile_interval(samples, 0.95)
        hits += low <= 2.0 <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_an_interval_is_that_of_scipys_bootstrap() -> None:
    """The percentile interval of the difference of two paired runs."""
    ours, theirs = np.random.default_rng(1).normal([3.0, 2.0], 1.0, size=(200, 2)).T
    counts = resample_counts(200, 20_000, seed=2)
    deltas = resampled_mean(ours, counts) - resampled_mean(theirs, counts)
    expected = stats.bootstrap(
        (ours, theirs),
        lambda ours, theirs: np.mean(ours) - np.mean(theirs),
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=5_000,
        rng=3,
    ).confidence_interval
    assert percentile_interval(deltas, 0.95) == pytest.approx(tuple(expected), abs=0.02)


def test_t_interval_is_that_of_scipy() -> None:
    deltas = [1.5, 3.5, 10.8, 11.2, 4.7]
    expected = stats.t.interval(0.95, 4, loc=np.mean(deltas), scale=stats.sem(deltas))
    assert t_interval(deltas) == pytest.approx(expected)
    assert t_interval([1.0]) == (None, None)


def test_t_test_is_that_of_scipy_and_agrees_with_the_interval() -> None:
    deltas = [1.5, 3.5, 10.8, 11.2, 4.7]
    p = t_test(deltas)
    assert p == pytest.approx(stats.ttest_1samp(deltas, 0.0).pvalue)
    assert t_test([-delta for delta in deltas]) == p
    assert p is not None
    low, _ = t_interval(deltas, 1.0 - p)  # the interval that just touches 0
    assert low == pytest.approx(0.0, abs=1e-9)
    assert t_test([1.0]) is None


def test_equal_differences_are_no_evidence_of_a_spread() -> None:
    """Two seeds that both gain 2.0 points are not certain to gain: t is undefined."""
    assert t_test([0.0, 0.0]) == 1.0
    assert t_test([0.0]) is None  # one seed shows nothing
    assert t_interval([0.0, 0.0]) == (0.0, 0.0)
    for deltas in ([2.0, 2.0], np.array([60.1, 61.1, 40.3]) - np.array([59.1, 60.1, 39.3])):
        assert t_test(deltas) is None
        assert t_interval(deltas) == (None, None)
    entry = compare_over_seeds([40.0, 50.0], [39.0, 49.0])
    assert (entry["delta"], entry["low"], entry["p"]) == (1.0, None, None)
    assert t_test([2.0, 2.001]) == pytest.approx(stats.ttest_1samp([2.0, 2.001], 0.0).pvalue)


def test_over_seeds_pairs_by_position() -> None:
    entry = compare_over_seeds([40.0, 50.0, 60.0], [39.0, 48.0, 57.0])
    assert (entry["value"], entry["delta"]) == (50.0, 2.0)
    half = stats.t.ppf(0.975, 2) * 1.0 / np.sqrt(3)
    assert (entry["low"], entry["high"]) == pytest.approx((2.0 - half, 2.0 + half))
    assert entry["p"] == pytest.approx(stats.ttest_rel([40, 50, 60], [39, 48, 57]).pvalue)
    itself = compare_over_seeds([40.0, 50.0], [40.0, 50.0])
    assert (itself["delta"], itself["low"], itself["high"]) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="paired"):
        compare_over_seeds([1.0, 2.0], [1.0])
