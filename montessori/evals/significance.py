"""p-values of differences between two runs, and Holm's correction for many of them.

By hand because `scipy.stats.permutation_test` and `bootstrap` draw anew for each statistic, while
here the samples behind an interval also give its p-value, for any metric (a test compares one case
with SciPy); Holm's correction is in statsmodels only, which is no dependency.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

Key = TypeVar("Key", bound=Hashable)


def bootstrap_p(samples: ArrayLike, observed: float) -> float:
    """Two-sided p-value of "no difference" from bootstrap samples of a difference, (resamples,).

    The samples are moved by -observed, so that their centre is no difference. The p-value is the
    share of them at least as far from zero as `observed`, which is counted as one more sample so
    that p is never 0 (Efron and Tibshirani 1993, chapter 16; Davison and Hinkley 1997, equation
    4.11). The statistic may be any that is computed anew in each sample, such as a
    length-controlled win rate.
    """
    moved = np.abs(np.asarray(samples, np.float64) - observed)
    # A sample that repeats the observed difference must count although it is rounded differently.
    least = abs(observed) - 1e-10 * max(1.0, abs(observed))
    return (1 + int((moved >= least).sum())) / (1 + moved.size)


def correct_by_holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Correct p-values for being many, by Holm's step-down procedure (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1 and so on; none falls below one before
    it, none exceeds 1. Rejecting those that are at most alpha keeps the chance of any false
    rejection at alpha, however the tests depend on each other. Keys keep their order.
    Raises ValueError for a value outside [0, 1].
    """
    wrong = [name for name, value in p_values.items() if not 0.0 <= value <= 1.0]
    if wrong:
        raise ValueError(f"no p-value: {', '.join(map(str, wrong))}")
    corrected: dict[Key, float] = {}
    floor = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        # Never below the value before it, or a larger p could be rejected and a smaller one not.
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = floor
    return {name: corrected[name] for name in p_values}
