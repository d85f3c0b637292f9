"""Intervals: a paired bootstrap over items, and Student's t over seeds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def resampled_mean(values: ArrayLike, counts: Floats) -> Floats:
    """Mean of `values` (items,) in each bootstrap sample; returns (resamples,)."""
    return counts @ np.asarray(values, dtype=np.float64) / counts.sum(axis=1)


def percentile_interval(samples: Floats, confidence: float) -> tuple[float, float]:
    """Percentile interval of bootstrap samples (resamples,): its lower and upper end."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(samples, [tail, 1.0 - tail])
    return float(low), float(high)


def t_interval(deltas: ArrayLike, confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Student's t interval for the mean of `deltas` (seeds,); (None, None) for fewer than two.

    mean -/+ t(1 - (1 - confidence) / 2; seeds - 1) * sd / sqrt(seeds), sd with n - 1.
    """
    from scipy.special import stdtrit

    deltas = np.asarray(deltas, dtype=np.float64)
    if deltas.size < 2:
        return None, None
    half = stdtrit(deltas.size - 1, 0.5 + confidence / 2.0)
    half *= deltas.std(ddof=1) / np.sqrt(deltas.size)
    return float(deltas.mean() - half), float(deltas.mean() + half)


def t_test(deltas: ArrayLike) -> float | None:
    """Two-sided p-value of "the mean of `deltas` (seeds,) is 0" by Student's t; None for fewer
    than two.

    It is below 1 - confidence exactly where `t_interval` excludes 0. Without any spread it is 1 if
    all deltas are 0, and else 0.
    """
    from scipy.special import stdtr

    deltas = np.asarray(deltas, dtype=np.float64)
    if deltas.size < 2:
        return None
    error = deltas.std(ddof=1) / np.sqrt(deltas.size)
    if error == 0.0:
        return 1.0 if deltas[0] == 0.0 else 0.0
    return float(2.0 * stdtr(deltas.size - 1, -abs(deltas.mean() / error)))


def compare_over_seeds(
    values: ArrayLike, baseline: ArrayLike, confidence: float = 0.95
) -> dict[str, float | None]:
    """One metric of a run over seeds, paired with the baseline's by position.

    values, baseline: (seeds,), the same seeds in the same order.
    Returns {"value": mean, "delta": mean of the paired differences, "low", "high": ends of the t
    interval of the delta, "p": p-value of the paired t test}; the last three are None for fewer
    than two seeds.
    Raises ValueError when the two differ in length or are empty.
    """
    values = np.asarray(values, dtype=np.float64)
    deltas = values - _same_length(values, np.asarray(baseline, dtype=np.float64))
    low, high = t_interval(deltas, confidence)
    return {
        "value": float(values.mean()),
        "delta": float(deltas.mean()),
        "low": low,
        "high": high,
        "p": t_test(deltas),
    }


def _same_length(values: Floats, baseline: Floats) -> Floats:
    if values.shape != baseline.shape or values.size == 0:
        raise ValueError(f"paired values need equal seeds: {values.size} and {baseline.size}")
    return baseline


def win_rate(preference: ArrayLike) -> tuple[float, float]:
    """Win rate and its standard error, both 0-100.

    preference: (items,), the probability that the run beats the other one; 0.5 is a tie.
    The error is sd / sqrt(items) with n - 1, as `alpaca_eval.metrics.get_winrate` reports it.
    """
    preference = np.asarray(preference, dtype=np.float64)
    error = preference.std(ddof=1) / np.sqrt(preference.size) if preference.size > 1 else 0.0
    return float(preference.mean() * 100.0), float(error * 100.0)
