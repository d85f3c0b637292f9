"""Scores of AlpacaEval 2 from verdicts: win rates, their error, the length-controlled win rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from montessori.errors import MontessoriError
from montessori.evals.published.annotations import Comparison
from montessori.evals.published.length_control import (
    FOLDS,
    Floats,
    Weights,
    fit_weights,
    length_term,
)
from montessori.evals.published.length_control_files import (
    LengthControlFiles,
    difficulty_of,
    read_gamed,
    read_weights,
)
from montessori.evals.statistics import win_rate

CLOSE = 1.0  # largest difference, in points, between the win rate and that of published weights
METHODS = {  # best first; the headline is the first one available
    "reference-itself": "the model is its own reference: 50 by construction",
    "published-weights": "the published regression of this model",
    "published-fit": "fitted as published, with the table of gamed answers",
    "fit-with-difficulty": "approximate: fitted without the table of gamed answers",
    "fit-minimal": "approximate: fitted on length alone; may be far off for short answers",
}
NONE = "none"


@dataclass(frozen=True)
class LengthControl:
    """Predicted preferences (rows,) at equal length, by method, and notes for the reader."""

    predicted: Mapping[str, Floats]
    notes: tuple[str, ...]

    @property
    def method(self) -> str:
        """The best available method, or "none"."""
        return next((name for name in METHODS if name in self.predicted), NONE)


def win_rates(preference: Floats) -> dict[str, Any]:
    """The figures of `alpaca_eval.metrics.get_winrate`, rates and errors on 0-100.

    preference: (rows,), the probability that the model is better; NaN rows are ignored. A win is
    above 0.5, a tie exactly 0.5; the discrete win rate counts a tie half.
    Raises ValueError without any preference.
    """
    known = preference[~np.isnan(preference)]
    if known.size == 0:
        raise ValueError("no preference to average")
    rate, error = win_rate(known)
    wins, ties = int((known > 0.5).sum()), int((known == 0.5).sum())
    return {
        "win_rate": rate,
        "standard_error": error,
        "discrete_win_rate": 100.0 * (wins + ties / 2) / known.size,
        "n_wins": wins,
        "n_wins_base": int(known.size) - wins - ties,
        "n_draws": ties,
        "n_total": int(known.size),
    }


def control_length(
    comparison: Comparison, files: LengthControlFiles, required: bool = False
) -> LengthControl:
    """Predict preferences at equal length by every method that the files allow.

    required: whether published weights are asked for, so that weights that do not belong to these
    verdicts are an error and not just a note.
    Raises MontessoriError: an unreadable file; weights that were asked for and cannot be used.
    """
    if comparison.model == comparison.reference:
        rows = len(comparison.instructions)
        return LengthControl({"reference-itself": np.full(rows, 0.5)}, ())
    difficulty = difficulty_of(comparison, files)
    length = length_term(comparison.reference_length, comparison.length)
    predicted, notes = _fit_regressions(comparison, length, difficulty, files)
    if files.weights is not None:
        values, note = _predict_by_weights(comparison, length, difficulty, files.weights)
        if required and values is None:
            raise MontessoriError(
                note,
                where=str(files.weights),
                expected=f"the weights of {comparison.model} for these verdicts",
                next="fix --weights and --difficulty, or drop --weights for a fit",
            )
        if values is not None:
            predicted["published-weights"] = values
        notes.append(note)
    return LengthControl(predicted, tuple(note for note in notes if note))


def _fit_regressions(
    comparison: Comparison,
    length: Floats,
    difficulty: Floats | None,
    files: LengthControlFiles,
) -> tuple[dict[str, Floats], list[str]]:
    """Predictions of the regressions that can be fitted to these verdicts."""
    usable = int((~np.isnan(comparison.preference + length)).sum())
    unknown = int(np.isnan(length).sum())
    notes = [f"{unknown} rows have no length: not in the fits"] if unknown else []
    if usable < FOLDS:  # each fold of the cross-validation needs a row
        return {}, [*notes, f"{usable} rows with verdict and lengths are too few for a fit"]
    if files.difficulty is not None and difficulty is None:
        notes.append("instruction difficulty is not used: the rows are not those it was made for")
    weights: dict[str, Weights] = {"fit-minimal": fit_weights(comparison.preference, length)}
    if difficulty is not None:
        weights["fit-with-difficulty"] = fit_weights(comparison.preference, length, difficulty)
    if difficulty is not None and files.gamed is not None:
        gamed = read_gamed(files.gamed)
        weights["published-fit"] = fit_weights(comparison.preference, length, difficulty, gamed)
    at_difficulty = np.zeros_like(length) if difficulty is None else difficulty
    return {method: each.predict(at_difficulty) for method, each in weights.items()}, notes


def _predict_by_weights(
    comparison: Comparison, length: Floats, difficulty: Floats | None, path: Path
) -> tuple[Floats | None, str]:
    """Predictions of published weights; None and the reason where they cannot be used.

    Weights do not depend on the verdicts at hand, so they may belong to others. They are accepted
    if they predict about the win rate of these verdicts at the lengths of these answers.
    """
    weights = read_weights(path, comparison.model)
    if weights is None:
        return None, f"no published weights of {comparison.model}"
    if difficulty is None:
        return None, "published weights need instruction difficulty for these rows"
    known = ~np.isnan(comparison.preference + length)
    if not known.any():
        return None, "published weights cannot be checked without the lengths of the answers"
    actual = 100.0 * float(weights.predict(difficulty, length)[known].mean())
    rate = 100.0 * float(comparison.preference[known].mean())
    if abs(actual - rate) > CLOSE:
        return None, (
            f"the published weights of {comparison.model} belong to other verdicts: "
            f"they predict a win rate of {actual:.2f}, the verdicts give {rate:.2f}"
        )
    return weights.predict(difficulty), ""


def score_comparison(comparison: Comparison, control: LengthControl) -> dict[str, Any]:
    """All figures as JSON: rates on 0-100, counts, and length control by every method.

    Raises MontessoriError where no row has a verdict.
    """
    if np.isnan(comparison.preference).all():
        raise MontessoriError(
            f"none of {comparison.preference.size} rows has a verdict: {comparison.unparsed} "
            f"without preference, {comparison.invalid} with one that is not a number from 1 to 2",
            where=comparison.source,
            expected="preferences from 1 to 2",
            next="judge the answers again",
        )
    rates = {name: 100.0 * float(values.mean()) for name, values in control.predicted.items()}
    return {
        "model": comparison.model,
        "reference": comparison.reference,
        "annotator": comparison.annotator,
        **win_rates(comparison.preference),
        "length_controlled_winrate": rates.get(control.method),
        "lc_standard_error": _standard_error(control.predicted.get(control.method)),
        "length_controlled_method": control.method,
        "length_controlled_by_method": rates,
        "avg_length": _mean_length(comparison.length),
        "avg_length_reference": _mean_length(comparison.reference_length),
        "n_rows": int(comparison.preference.size),
        "n_unparsed": comparison.unparsed,
        "n_invalid": comparison.invalid,
        "n_swapped": comparison.swapped,
        "n_duplicates": comparison.duplicates,
        "win_rate_by_instruction": rate_by_instruction(comparison),
        "notes": [*_note_scale(comparison), *control.notes],
    }


def _note_scale(comparison: Comparison) -> list[str]:
    """What about the preferences a reader should look at."""
    notes = []
    if comparison.zeros:
        notes.append(
            f"{comparison.zeros} with preference 0 count as ties, as in AlpacaEval's older files; "
            "if they stand for lost, the file's scale is not 1 to 2"
        )
    known = comparison.preference[~np.isnan(comparison.preference)]
    if known.size and (known == known[0]).all() and known[0] in (0, 1) and known.size > 1:
        notes.append(
            "all rows have the same preference; if it is a 1 that stands for won, the file's scale "
            "is 0 to 1"
        )
    if comparison.itself:
        notes.append(f"{comparison.itself} rows compare a model with itself: not counted")
    return notes


def rate_by_instruction(comparison: Comparison) -> float:
    """The win rate on 0-100 with each instruction counted once, by the mean of its verdicts."""
    verdicts: dict[str, list[float]] = {}
    for text, value in zip(comparison.instructions, comparison.preference, strict=True):
        if not np.isnan(value):
            verdicts.setdefault(text, []).append(float(value))
    return 100.0 * float(np.mean([np.mean(values) for values in verdicts.values()]))


def _standard_error(predicted: Floats | None) -> float | None:
    """Standard error over rows on 0-100, as published: without the error of the fit itself."""
    return None if predicted is None or predicted.size < 2 else win_rate(predicted)[1]


def _mean_length(lengths: Floats) -> int | None:
    """Mean characters of an answer, truncated to a whole number as on the leaderboard."""
    known = lengths[~np.isnan(lengths)]
    return int(known.mean()) if known.size else None
