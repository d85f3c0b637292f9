"""The 2-parameter logistic model of item response theory, by maximum marginal likelihood.

P(right) = 1 / (1 + exp(-(a theta + d))) for an item of discrimination a > 0 and intercept d (its
difficulty is -d / a) and an examinee of ability theta ~ N(0, 1) (Birnbaum 1968; marginal
likelihood: Bock & Aitkin 1981). The integral over abilities is a Gauss-Hermite sum, the gradient
is exact, the optimiser L-BFGS of scipy. A hundred lines instead of a dependency: py-irt needs Pyro.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
POINTS = 41  # of the quadrature
#: Bounds of log a. Above them an item is a step function of ability, below them it is constant.
BOUNDS = (-4.0, 3.0)
INTERCEPT = 15.0  # bound of |d|


@dataclass(frozen=True)
class Fit:
    """Discrimination and difficulty of each item, and whether the optimiser converged."""

    discrimination: Array  # (items,)
    difficulty: Array  # (items,)
    converged: bool
    message: str
    iterations: int


def fit_items(correct: npt.NDArray[np.bool_], prior: float, iterations: int) -> Fit:
    """Fit the model to answers, (examinees, items) bool.

    `prior` is the standard deviation of a normal prior on log a around 0 and, times 3, on d. With 0
    there is none: plain maximum likelihood, which has no finite solution for items that separate a
    few examinees perfectly. Without a prior, a fit counts as not converged if it ends on a bound of
    an item with both right and wrong answers.
    """
    from scipy.optimize import minimize

    answers = correct.astype(np.float64)  # (examinees, items)
    items = answers.shape[1]
    # Start at discrimination 1 and at the intercept that explains each item's share by itself.
    # Clipped, because the start of an item that all get right would be infinite.
    share = answers.mean(axis=0).clip(0.02, 0.98)
    start = np.concatenate([np.zeros(items), np.log(share / (1 - share))])
    bounds = [BOUNDS] * items + [(-INTERCEPT, INTERCEPT)] * items
    result = minimize(
        _loss_and_gradient,
        start,
        args=(answers, prior),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "maxfun": 20 * iterations, "ftol": 1e-10, "gtol": 1e-5},
    )
    log_a, d = result.x[:items], result.x[items:]
    # Items that all answer alike end on a bound by nature, and a prior keeps every estimate finite.
    varied = (answers.min(axis=0) < answers.max(axis=0)) & (prior == 0)
    stuck = varied & ((log_a >= BOUNDS[1] - 1e-6) | (np.abs(d) >= INTERCEPT - 1e-6))
    converged = bool(result.success) and not stuck.any()
    message = str(result.message)
    if stuck.any():
        message = f"{int(stuck.sum())} of {items} items have no finite estimate"
    a = np.exp(log_a)
    return Fit(a, -d / a, converged, message, int(result.nit))


def _loss_and_gradient(x: Array, answers: Array, prior: float) -> tuple[float, Array]:
    """Negative log marginal posterior and its gradient at x = (log a, d), each (items,)."""
    items = answers.shape[1]
    log_a, d = x[:items], x[items:]
    a = np.exp(log_a)
    theta, weight = _normal_quadrature()
    logit = theta[:, None] * a + d  # (points, items)
    right, wrong = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)  # log-probabilities
    joint = answers @ right.T + (1 - answers) @ wrong.T + np.log(weight)  # (examinees, points)
    top = joint.max(axis=1, keepdims=True)  # taken out, so that exp does not underflow
    marginal = top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))  # (examinees,)
    posterior = np.exp(joint - marginal[:, None])  # (examinees, points)
    # Right answers at each ability, less those that the model expects: (points, items).
    surplus = posterior.T @ answers - posterior.sum(axis=0)[:, None] * np.exp(right)
    gradient = np.concatenate([(surplus * theta[:, None]).sum(axis=0) * a, surplus.sum(axis=0)])
    value = marginal.sum()
    if prior > 0:  # log densities of the priors, without their constants
        value -= (log_a**2).sum() / (2 * prior**2) + (d**2).sum() / (2 * (3 * prior) ** 2)
        gradient -= np.concatenate([log_a / prior**2, d / (3 * prior) ** 2])
    return -float(value), -gradient


def _normal_quadrature() -> tuple[Array, Array]:
    """Points and weights of a sum that approximates the mean over N(0, 1), both (points,)."""
    # These weights sum to sqrt(2 pi), those of a mean to 1.
    points, weights = np.polynomial.hermite_e.hermegauss(POINTS)
    return points, weights / weights.sum()


def rest_correlations(correct: npt.NDArray[np.bool_]) -> Array:
    """The fallback: each item's correlation with the rest of the examinee's answers, (items,).

    0 for an item, or a rest, that is the same for all examinees.
    """
    answers = correct.astype(np.float64)
    total = answers.sum(axis=1)
    values = np.zeros(answers.shape[1])
    for i in range(answers.shape[1]):
        # Without its own answer, with which an item would correlate in any case.
        item, rest = answers[:, i], total - answers[:, i]
        if item.std() > 0 and rest.std() > 0:
            values[i] = np.corrcoef(item, rest)[0, 1]
    return values
