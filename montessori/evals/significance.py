"""Tests of differences between two runs: a paired bootstrap, and Holm's correction for many."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

Key = TypeVar("Key", bound=Hashable)


def bootstrap_p(samples: ArrayLike, observed: float) -> float:
    """Two-sided p-value of "no difference" from bootstrap samples of a difference, (resamples,).

    The samples are moved by the observed difference, so that their centre is no difference. The
    p-value is the share of moved samples at least as far from zero as the observed difference, the
    observed one counted in, so that it is never 0 (Efron and Tibshirani 1993, chapter 16; Davison
    and Hinkley 1997, equation 4.11). It serves any statistic that is computed anew in each sample,
    a mean as well as a length-controlled win rate.
    """
    moved = np.abs(np.asarray(samples, np.float64) - observed)
    least = abs(observed) - 1e-10 * max(1.0, abs(observed))
    return (1 + int((moved >= least).sum())) / (1 + moved.size)


def correct_by_holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
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
