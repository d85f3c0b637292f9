"""The length-controlled win rate of AlpacaEval 2 (Dubois and others 2024, arXiv 2404.04475).

A logistic regression of the preference on three terms: tanh of the difference in length in units of
its standard deviation, the difficulty of the instruction, and a constant for the model. The
length-controlled win rate is its mean prediction where the lengths are equal. The arithmetic is
that of `alpaca_eval.metrics.glm_winrate` 0.6.6, in which `length_controlled_v1` has all terms and
the table of gamed answers, `length_controlled_noreg` no table and `length_controlled_minimal`
neither table nor difficulty. `lab_benchmarks.ridge_length_control` is the fast fit for bootstrap
samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FOLDS = 5
SEED = 123  # of liblinear's order of coordinates, as published
STRENGTHS = np.logspace(-4, 4, 10)  # inverse L1 penalties that cross-validation chooses from
GAMED_WEIGHT = 0.2 / 2  # of a row of the gamed table: lambda 0.2 over its two models
CLOSEST = 1e-15  # predictions keep this distance from 0 and 1 in the log loss


@dataclass(frozen=True)
class Weights:
    """The coefficients of a model, in logits. Only the constant measures the model's quality."""

    length: float
    difficulty: float
    constant: float

    def predict(self, difficulty: Floats, length: Floats | float = 0.0) -> Floats:
        """Probability (rows,) that the model is preferred.

        difficulty: (rows,). length: (rows,), the term of `length_term`; 0 where lengths are equal.
        """
        logits = self.constant + self.difficulty * difficulty + self.length * length
        return np.exp(-np.logaddexp(0.0, -logits))


@dataclass(frozen=True)
class Gamed:
    """Rows of the published table of gamed answers, which keep the length's coefficient in check.

    All (rows,): the preference in [0, 1], the standardised difference in length, the difficulty.
    """

    preference: Floats
    length: Floats
    difficulty: Floats


def length_term(reference_length: Floats, length: Floats) -> Floats:
    """tanh((reference's - model's length) / sd), (rows,), sd with n - 1 over rows with lengths.

    0 where all differences are equal; NaN where a length is.
    """
    difference = reference_length - length
    known = difference[~np.isnan(difference)]
    spread = known.std(ddof=1) if known.size > 1 else 0.0
    return np.tanh(difference / spread) if spread > 0 else 0.0 * difference


def fit_weights(
    preference: Floats,
    length: Floats,
    difficulty: Floats | None = None,
    gamed: Gamed | None = None,
) -> Weights:
    """Fit the regression anew, with the published penalty, folds and seed.

    preference: (rows,) in [0, 1]. length: (rows,), see `length_term`. difficulty: (rows,); None
    drops that term. gamed: needs difficulty. Rows with a NaN are ignored.
    Raises ValueError for fewer than FOLDS rows.
    """
    terms = [length, *([] if difficulty is None else [difficulty]), np.ones_like(length)]
    features = np.stack(terms, axis=1)  # (rows, terms)
    weight = np.ones_like(preference)
    if gamed is not None:
        # The constant of these rows is 0: they say nothing about the model.
        table = np.stack([np.tanh(gamed.length), gamed.difficulty, 0.0 * gamed.length], axis=1)
        features = np.concatenate([table, features])
        preference = np.concatenate([gamed.preference, preference])
        weight = np.concatenate([np.full(len(table), GAMED_WEIGHT), weight])
    known = ~np.isnan(preference) & ~np.isnan(features).any(axis=1)
    if known.sum() < FOLDS:
        raise ValueError(f"{known.sum()} rows cannot be divided into {FOLDS} folds")
    coefficients = _cross_validated(features[known], preference[known], weight[known])
    return Weights(
        length=float(coefficients[0]),
        difficulty=0.0 if difficulty is None else float(coefficients[1]),
        constant=float(coefficients[-1]),
    )


def _cross_validated(features: Floats, preference: Floats, weight: Floats) -> Floats:
    """Coefficients (terms,) at the strength with the least mean log loss over the folds."""
    from sklearn.model_selection import GroupKFold

    # Each row is a group of its own, as published. KFold would divide the rows in another way.
    rows = np.arange(len(features))
    folds = GroupKFold(n_splits=FOLDS).split(features, groups=rows)
    losses = [_held_out_losses(features, preference, weight, *fold) for fold in folds]
    strength = STRENGTHS[int(np.argmin(np.mean(losses, axis=0)))]
    return _fit_coefficients(features, preference, weight, strength, np.random.RandomState(SEED))


def _held_out_losses(
    features: Floats,
    preference: Floats,
    weight: Floats,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
) -> list[float]:
    """Mean weighted log loss on the rows `test` at each strength, fitted on the rows `train`.

    One stream of random numbers serves a fold's strengths in turn, as in scikit-learn's path.
    """
    random = np.random.RandomState(SEED)
    known = features[train], preference[train], weight[train]
    losses = []
    for strength in STRENGTHS:
        coefficients = _fit_coefficients(*known, strength, random)
        predicted = 1.0 / (1.0 + np.exp(-features[test] @ coefficients))
        loss = _log_loss(preference[test], predicted)
        losses.append(float(np.mean(weight[test] * loss)))
    return losses


def _log_loss(truth: Floats, predicted: Floats) -> Floats:
    """Log loss (rows,) of predicted probabilities against probabilities."""
    predicted = np.clip(predicted, CLOSEST, 1.0 - CLOSEST)
    return -(truth * np.log(predicted) + (1.0 - truth) * np.log(1.0 - predicted))


def _fit_coefficients(
    features: Floats,
    preference: Floats,
    weight: Floats,
    strength: float,
    random: np.random.RandomState,
) -> Floats:
    """Coefficients (terms,) of an L1 logistic regression on probabilities.

    scikit-learn takes labels, so each row is there twice, won and lost, weighted by its preference.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=strength, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=random
    )
    labels = np.repeat([1, 0], len(features))
    shares = np.concatenate([preference * weight, (1.0 - preference) * weight])
    model.fit(np.concatenate([features, features]), labels, sample_weight=shares)
    return model.coef_[0]
