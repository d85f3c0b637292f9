"""The length-controlled win rate by ridge regression, fast enough for every bootstrap sample.

A second fit on purpose. `published.length_control` has AlpacaEval's own, L1 logistic regression by
scikit-learn with cross-validated penalties, which takes seconds for one set of verdicts. Intervals
need it in thousands of samples, so here the penalty is fixed and weak, and Newton's method fits
all samples at once. A test holds both together where neither penalty matters.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

PENALTY = 0.1  # ridge precision of both coefficients; 0.1 % of the information of 400 items
ITERATIONS = 100
LONGEST_STEP = 2.0  # of one Newton step, in logits
TOLERANCE = 1e-9


def length_controlled_rate(
    preference: ArrayLike, difference: ArrayLike, counts: Floats | None = None
) -> Floats:
    """Length-controlled win rate, 0-100 (Dubois et al. 2024, arXiv 2404.04475).

    The terms are those of AlpacaEval's `length_controlled_minimal`: a logistic regression of the
    preference on a constant (the run) and tanh(length difference / its sd), evaluated at
    difference 0. A weak ridge penalty on both coefficients replaces the published L1 penalty, so
    that the rate is finite and smooth when one run wins everything. Where one run is longer on
    nearly every item, length and quality cannot be separated and the rate is drawn towards 50, as
    the published one is: compare it with the plain win rate then.

    preference: (items,) in [0, 1]. difference: (items,), characters of the run's answer minus
    those of the other's. counts: (resamples, items), how often each item counts; None for once.
    Returns (resamples,), or (1,) without counts.
    """
    preference = np.asarray(preference, dtype=np.float64)
    difference = np.asarray(difference, dtype=np.float64)
    if counts is None:
        counts = np.ones((1, preference.size))
    length = np.tanh(_scale_differences(difference, counts))  # (resamples, items)
    constant = _fit_constant(preference, length, counts)
    return 100.0 / (1.0 + np.exp(-constant))


def _scale_differences(difference: Floats, counts: Floats) -> Floats:
    """Differences in units of their sd in each sample, (resamples, items).

    0 in samples where all lengths differ equally.
    """
    total = counts.sum(axis=1)
    mean = counts @ difference / total
    variance = (counts @ difference**2 - total * mean**2) / np.maximum(total - 1.0, 1.0)
    # Equal differences leave a variance of rounding errors, by which nothing may be divided.
    floor = 1e-9 * max(1.0, float(np.abs(difference).max(initial=0.0)) ** 2)
    scale = np.sqrt(np.where(variance > floor, variance, np.inf))
    return difference[None, :] / scale[:, None]


def _fit_constant(preference: Floats, length: Floats, counts: Floats) -> Floats:
    """Fit the ridge logistic regression of each sample by Newton's method; its constants.

    preference: (items,); length and counts: (resamples, items). Returns (resamples,).
    """
    coefficients = np.zeros((2, counts.shape[0]))  # the constant, and that of the length
    for _ in range(ITERATIONS):
        step = _newton_step(coefficients, preference, length, counts)
        coefficients += step
        if np.abs(step).max() < TOLERANCE:
            break
    return coefficients[0]


def _newton_step(
    coefficients: Floats, preference: Floats, length: Floats, counts: Floats
) -> Floats:
    """One Newton step (2, resamples), at most LONGEST_STEP in each coefficient.

    Longer steps overshoot where a run wins nearly everything and the loss is almost flat.
    """
    constant, slope = coefficients
    predicted = 1.0 / (1.0 + np.exp(-(constant[:, None] + slope[:, None] * length)))
    residual = counts * (preference - predicted)
    weight = counts * predicted * (1.0 - predicted)
    gradient0 = residual.sum(axis=1) - PENALTY * constant
    gradient1 = np.einsum("ri,ri->r", residual, length) - PENALTY * slope
    # The Hessian of a sample is 2 x 2, so its inverse is written out for all samples at once.
    h00 = weight.sum(axis=1) + PENALTY
    h01 = np.einsum("ri,ri->r", weight, length)
    h11 = np.einsum("ri,ri,ri->r", weight, length, length) + PENALTY
    determinant = h00 * h11 - h01**2
    step0 = (h11 * gradient0 - h01 * gradient1) / determinant
    step1 = (h00 * gradient1 - h01 * gradient0) / determinant
    step = np.stack([step0, step1])
    longest = np.abs(step).max(axis=0)
    return step * np.minimum(1.0, LONGEST_STEP / np.maximum(longest, 1e-300))
