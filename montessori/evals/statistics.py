"""Intervals and tests: a paired bootstrap over items, Student's t over seeds, win rates.

The bootstrap is by hand because `scipy.stats.bootstrap` draws for one statistic at a time and
keeps every drawn value in memory; here one matrix of counts serves all runs, which pairs them (a
test compares one case with SciPy).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Differences that vary by less than this share of the largest are equal but for rounding.
SPREAD = 1e-9


def resampled_mean(values: ArrayLike, counts: Floats) -> Floats:
    """Mean of `values` (items,) in each bootstrap sample; returns (resamples,).

    counts: (resamples, items), how often each item was drawn.
    """
    return counts @ np.asarray(values, dtype=np.float64) / counts.sum(axis=1)


def percentile_interval(samples: Floats, confidence: float) -> tuple[float, float]:
    """Lower and upper end of the percentile interval of bootstrap samples, (resamples,)."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return float(low), float(high)


def t_interval(deltas: ArrayLike, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Student's t interval for the mean of `deltas` (seeds,).

    mean -/+ t(1 - (1 - confidence) / 2; seeds - 1) * sd / sqrt(seeds), sd with n - 1. (None, None)
    where the seeds say nothing about the spread, see `t_test`; (0, 0) if all deltas are 0.
    """
    from scipy.special import stdtrit  # here, because SciPy takes long to import

    deltas = np.asarray(deltas, dtype=np.float64)
    if deltas.size < 2 or (_are_equal(deltas) and deltas.any()):
        return None, None
    half = stdtrit(deltas.size - 1, 0.5 + confidence / 2.0)
    half *= deltas.std(ddof=1) / np.sqrt(deltas.size)
    return float(deltas.mean() - half), float(deltas.mean() + half)


def t_test(deltas: ArrayLike) -> float | None:
    """Two-sided p-value of "the mean of `deltas` is 0" by Student's t.

    deltas: (seeds,). p is below 1 - confidence exactly where `t_interval` excludes 0. It is None
    where the test is undefined: for fewer than two deltas, and for equal ones, whose t would be
    infinite and p = 0, as certain as nothing that a few seeds show. If all deltas are 0 it is 1.
    """
    from scipy.special import stdtr

    deltas = np.asarray(deltas, dtype=np.float64)
    if not deltas.any():
        return 1.0 if deltas.size > 1 else None
    if deltas.size < 2 or _are_equal(deltas):
        return None
    error = deltas.std(ddof=1) / np.sqrt(deltas.size)
    return float(2.0 * stdtr(deltas.size - 1, -abs(deltas.mean() / error)))


def _are_equal(deltas: Floats) -> bool:
    """Whether the deltas are equal but for rounding."""
    return bool(np.ptp(deltas) <= SPREAD * np.abs(deltas).max())


def compare_over_seeds(
    values: ArrayLike, baseline: ArrayLike, confidence: float = 0.95
) -> dict[str, float | None]:
    """Compare one metric of a run with the baseline's over seeds.

    values, baseline: (seeds,), the same seeds in the same order, paired by position.
    Returns {"value": mean, "delta": mean of the paired differences, "low", "high": ends of the t
    interval of the delta, "p": p-value of the paired t test}; the last three are None for fewer
    than two seeds, and where all seeds differ by the same.
    Raises ValueError when the two differ in length or are empty.
    """
    values = np.asarray(values, dtype=np.float64)
    baseline = np.asarray(baseline, dtype=np.float64)
    if values.shape != baseline.shape or values.size == 0:
        raise ValueError(f"paired values need equal seeds: {values.size} and {baseline.size}")
    deltas = values - baseline
    low, high = t_interval(deltas, confidence)
    return {
        "value": float(values.mean()),
        "delta": float(deltas.mean()),
        "low": low,
        "high": high,
        "p": t_test(deltas),
    }


def win_rate(preference: ArrayLike) -> tuple[float, float]:
    """Win rate and its standard error, both on 0-100.

    preference: (items,), the probability that the run's answer is the better one; 0.5 is a tie.
    The error is sd / sqrt(items) with n - 1, as in `alpaca_eval.metrics.get_winrate`.
    """
    preference = np.asarray(preference, dtype=np.float64)
    error = preference.std(ddof=1) / np.sqrt(preference.size) if preference.size > 1 else 0.0
    return float(preference.mean() * 100.0), float(error * 100.0)
