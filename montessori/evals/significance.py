"""Tests of differences between two runs: a paired bootstrap, and Holm's correction for many."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

Key = TypeVar("Key", bound=Hashable)

BLOCK = 250  # resamples that are drawn at once: 28 MB for MMLU's 14,042 items


def paired_bootstrap(
    values: ArrayLike, baseline: ArrayLike, resamples: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of "the two runs have the same mean", by a paired bootstrap over items.

    values, baseline: (items,), the same items in the same order. Differences are centred on zero
    and drawn with replacement; the p-value is the share of resampled means at least as far from
    zero as the one observed, the observed one counted in, so that it is never 0 (Efron and
    Tibshirani 1993, chapter 16; Davison and Hinkley 1997, equation 4.11).
    Raises ValueError when the two differ in length, are empty or hold a NaN.
    """
    differences = np.asarray(values, np.float64) - _paired(values, baseline)
    mean = differences.mean()
    least = abs(mean) - 1e-12 * max(1.0, abs(mean))
    random = np.random.default_rng(seed)
    even = np.full(differences.size, 1.0 / differences.size)
    reached = 0
    for start in range(0, resamples, BLOCK):
        counts = random.multinomial(even.size, even, size=min(BLOCK, resamples - start))
        means = counts @ (differences - mean) / even.size  # (resamples of the block,)
        reached += int((np.abs(means) >= least).sum())
    return (1 + reached) / (1 + resamples)


def bootstrap_p(samples: ArrayLike, observed: float) -> float:
    """Two-sided p-value of "no difference" from bootstrap samples of a difference, (resamples,).

    The samples are moved so that their centre is no difference (less the observed one); the rest
    is as in `paired_bootstrap`, which for a mean gives the same number from the same draws. It
    serves any statistic that is recomputed in each sample, such as a length-controlled win rate.
    """
    moved = np.abs(np.asarray(samples, np.float64) - observed)
    least = abs(observed) - 1e-10 * max(1.0, abs(observed))
    return (1 + int((moved >= least).sum())) / (1 + moved.size)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """p-values corrected for being many, by Holm's step-down procedure (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1 and so on; none falls below one before
    it, none exceeds 1. Rejecting those at most alpha keeps the chance of any false rejection at
    alpha, whatever their dependence. Keys and their order stay.
    Raises ValueError for a value outside [0, 1].
    """
    wrong = [name for name, value in p_values.items() if not 0.0 <= value <= 1.0]
    if wrong:
        raise ValueError(f"no p-value: {', '.join(map(str, wrong))}")
    corrected: dict[Key, float] = {}
    floor = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = floor
    return {name: corrected[name] for name in p_values}


def _paired(values: ArrayLike, baseline: ArrayLike) -> np.ndarray:
    """The baseline as an array; ValueError where it cannot be paired with the values."""
    first, second = np.asarray(values, np.float64), np.asarray(baseline, np.float64)
    if first.shape != second.shape or first.ndim != 1 or first.size == 0:
        raise ValueError(f"paired values need equal items: {first.size} and {second.size}")
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("paired values hold a NaN; leave its item out of both")
    return second
