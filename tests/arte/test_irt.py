"""The two-parameter item response model: arithmetic by hand, simulated data, no convergence.

What would break: ARTE keeps questions that do not tell good students from bad ones, because
discriminations are wrong or a fit that never converged counts as one.
"""

import math

import numpy as np
import pytest

from montessori.arte.irt import _loss_and_gradient, _normal_quadrature, fit_items, rest_correlations


def simulate(examinees: int, items: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=examinees)
    a, b = rng.uniform(0.4, 2.5, size=items), rng.normal(size=items)
    right = rng.random((examinees, items)) < 1 / (1 + np.exp(-a * (theta[:, None] - b)))
    return a, b, right


def test_simulated_parameters_are_recovered():
    a, b, right = simulate(3000, 25)
    found = fit_items(right, prior=0.0, iterations=500)
    assert found.converged
    assert np.abs(found.discrimination - a).max() < 0.35
    assert np.corrcoef(found.discrimination, a)[0, 1] > 0.97
    assert np.corrcoef(found.difficulty, b)[0, 1] > 0.98


def test_few_examinees_still_find_most_of_the_discriminative_items():
    a, _, right = simulate(60, 40, seed=1)
    found = fit_items(right, prior=1.0, iterations=500)
    assert found.converged
    best, truth = np.argsort(-found.discrimination)[:16], np.argsort(-a)[:16]
    assert len({*best} & {*truth}) >= 10  # 16 * 16 / 40 = 6.4 by chance


def test_the_likelihood_of_one_item_is_that_of_its_intercept():
    """With a -> 0 ability plays no part: log L = sum of log P(y) with P = sigmoid(d)."""
    answers = np.array([[1.0], [0.0], [1.0]])
    value, _ = _loss_and_gradient(np.array([-30.0, 0.5]), answers, 0.0)
    p = 1 / (1 + math.exp(-0.5))
    assert value == pytest.approx(-(2 * math.log(p) + math.log(1 - p)))


def test_the_gradient_is_that_of_the_value():
    _, _, right = simulate(12, 5)
    x, answers = np.linspace(-0.5, 0.6, 10), right.astype(float)
    _, gradient = _loss_and_gradient(x, answers, 0.7)
    for i in range(10):
        step = np.zeros(10)
        step[i] = 1e-5
        up, down = (
            _loss_and_gradient(x + step, answers, 0.7)[0],
            _loss_and_gradient(x - step, answers, 0.7)[0],
        )
        assert gradient[i] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-7)


def test_the_normal_quadrature_has_the_moments_of_a_standard_normal():
    points, weights = _normal_quadrature()
    moments = [float((weights * points**k).sum()) for k in (0, 1, 2, 4)]
    assert moments == pytest.approx([1, 0, 1, 3], abs=1e-9)


def test_items_that_separate_perfectly_have_no_plain_estimate():
    right = np.arange(8)[:, None] >= np.array([2, 4, 6])[None]  # a Guttman scale
    found = fit_items(right, prior=0.0, iterations=500)
    assert not found.converged
    assert fit_items(right, prior=1.0, iterations=500).converged


def test_too_few_iterations_do_not_converge():
    _, _, right = simulate(40, 20)
    assert not fit_items(right, prior=1.0, iterations=1).converged


def test_correlations_by_hand():
    right = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1]], dtype=bool)
    # item 0 = (1,1,0,0) against the rest (2,1,1,1): r = 0.25 / (0.5 * sqrt(3)/4) = 1/sqrt(3)
    assert rest_correlations(right) == pytest.approx([1 / math.sqrt(3), 1 / math.sqrt(3), 0])


def test_the_order_of_examinees_and_items_changes_no_estimate():
    _, _, right = simulate(40, 12, seed=2)
    rng = np.random.default_rng(3)
    examinees, items = rng.permutation(40), rng.permutation(12)
    found = fit_items(right, prior=1.0, iterations=500)
    moved = fit_items(right[examinees][:, items], prior=1.0, iterations=500)
    assert moved.discrimination == pytest.approx(found.discrimination[items], rel=1e-3)
    assert moved.difficulty == pytest.approx(found.difficulty[items], rel=1e-2, abs=1e-3)


def test_easier_items_have_lower_difficulty():
    """Same steepness, fewer and fewer right answers."""
    rng = np.random.default_rng(4)
    theta = rng.normal(size=2000)
    levels = np.array([-1.5, -0.5, 0.5, 1.5])
    right = rng.random((2000, 4)) < 1 / (1 + np.exp(-1.5 * (theta[:, None] - levels)))
    found = fit_items(right, prior=0.0, iterations=500)
    assert found.difficulty == pytest.approx(levels, abs=0.2)


def test_an_item_that_everybody_answers_alike_is_not_what_stops_a_fit():
    _, _, right = simulate(200, 6, seed=5)
    right[:, 0], right[:, 1] = True, False
    found = fit_items(right, prior=0.0, iterations=500)
    assert np.isfinite(found.discrimination).all()
    assert found.converged == fit_items(right[:, 2:], prior=0.0, iterations=500).converged


def test_a_stronger_prior_draws_discriminations_to_one():
    _, _, right = simulate(60, 10, seed=6)
    spreads = [
        np.abs(np.log(fit_items(right, prior, 500).discrimination)).max()
        for prior in (2.0, 0.5, 0.01)
    ]
    assert spreads[0] > spreads[1] > spreads[2]
    assert spreads[2] < 0.01


def test_an_item_against_the_trend_has_a_negative_correlation():
    """The fallback puts an item that the weak answer right and the strong wrong last."""
    trend = np.arange(6)[:, None] >= np.array([1, 2, 3, 4])[None]
    against = ~(np.arange(6) >= 3)
    found = rest_correlations(np.column_stack([trend, against]))
    assert (found[:4] > 0).all()
    assert found[4] < -0.8
