"""Metrics of benchmarks that are judged in pairs: win rates, length control, position bias."""

from typing import Any

import polars as pl

from montessori.evals.items import ALPACA
from montessori.evals.lab_benchmarks.ridge_length_control import length_controlled_rate
from montessori.evals.published.alpaca_scores import NONE, win_rates
from montessori.evals.published.length_control import (
    FOLDS,
    Floats,
    Gamed,
    fit_weights,
    length_term,
)
from montessori.evals.statistics import win_rate


def preferences_by_item(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per item from its verdicts (in one order or both), in the order of the items.

    Columns item_id, preference, length, against_length, difficulty. The preference is the mean over
    the orders, null unless each of them has a verdict, because a single order may be biased.
    """
    usable = pl.col("preference").is_not_null().all()
    return rows.group_by("item_id", maintain_order=True).agg(
        pl.when(usable).then(pl.col("preference").mean()).alias("preference"),
        pl.col("length", "against_length", "difficulty").first(),
    )


def length_differences(items: pl.DataFrame) -> pl.Series:
    """Characters of the run's answer minus those of the other answer, as f64."""
    return (items["length"] - items["against_length"]).cast(pl.Float64)


def pair_metrics(name: str, rows: pl.DataFrame, gamed: Gamed | None = None) -> dict[str, Any]:
    """The metrics of benchmark `name` from its verdicts, on 0-100; the headline is `name` itself.

    All are None where no item has a verdict. The lab's headline is the rate of
    `ridge_length_control`, AlpacaEval's that of the published regression, `length_control`, with
    its table of gamed answers where that is known.
    """
    items = preferences_by_item(rows).filter(pl.col("preference").is_not_null())
    if items.is_empty():
        return {name: None, f"{name}_win_rate": None, f"{name}_standard_error": None}
    if name == ALPACA:
        return _lab_metrics(name, items)
    return _published_metrics(name, items, gamed)


def _lab_metrics(name: str, items: pl.DataFrame) -> dict[str, Any]:
    preference = items["preference"].to_numpy()
    rate, error = win_rate(preference)
    controlled = length_controlled_rate(preference, length_differences(items).to_numpy())
    return {
        name: float(controlled[0]),
        f"{name}_win_rate": rate,
        f"{name}_standard_error": error,
    }


def _published_metrics(name: str, items: pl.DataFrame, gamed: Gamed | None) -> dict[str, Any]:
    figures = win_rates(items["preference"].to_numpy())
    predicted, method = predict_at_equal_length(items, gamed)
    controlled = figures["win_rate"]  # the headline of few items is the plain rate
    figures["length_controlled_method"] = method
    if predicted is not None:
        controlled, figures["lc_standard_error"] = win_rate(predicted)
    return {name: controlled} | {f"{name}_{key}": value for key, value in figures.items()}


def predict_at_equal_length(
    items: pl.DataFrame, gamed: Gamed | None = None
) -> tuple[Floats | None, str]:
    """Preferences (items,) that AlpacaEval's regression predicts at equal length, and its form.

    The form is a key of `alpaca_scores.METHODS`; the table of gamed answers needs difficulties.
    None and "none" where the items are too few for its folds.
    """
    if items.height < FOLDS:
        return None, NONE
    reference_length = items["against_length"].cast(pl.Float64).to_numpy()
    length = items["length"].cast(pl.Float64).to_numpy()
    term = length_term(reference_length, length)
    preference = items["preference"].to_numpy()
    if items["difficulty"].null_count():
        return fit_weights(preference, term).predict(0.0 * term), "fit-minimal"
    difficulty = items["difficulty"].to_numpy()
    weights = fit_weights(preference, term, difficulty, gamed)
    method = "fit-with-difficulty" if gamed is None else "published-fit"
    return weights.predict(difficulty), method


def position_bias(rows: pl.DataFrame) -> dict[str, Any]:
    """How the order of the answers influenced the judge, on 0-100.

    Only verdicts that the judge gave count, not ties of identical answers. swapped: share in which
    the other answer was shown first. win_rate_shown_first, win_rate_shown_second: win rate of the
    run's answer where it was shown first or second. first_preferred: how often the answer shown
    first was preferred, ties half; 50 without bias.
    """
    asked = rows.filter((pl.col("method") != "identical") & pl.col("preference").is_not_null())
    swapped = asked["swapped"]
    first = pl.when(pl.col("swapped")).then(1.0 - pl.col("preference")).otherwise("preference")
    # 1 where the answer shown first was preferred, however clearly, and 0.5 for a tie.
    better = ((first - 0.5).sign() + 1.0) / 2.0
    return {
        "swapped": _mean_percent(swapped),
        "win_rate_shown_first": _mean_percent(asked.filter(~pl.col("swapped"))["preference"]),
        "win_rate_shown_second": _mean_percent(asked.filter(pl.col("swapped"))["preference"]),
        "first_preferred": _mean_percent(asked.select(better.alias("better"))["better"]),
    }


def _mean_percent(values: pl.Series) -> float | None:
    """The mean of shares, on 0-100; None without any."""
    return None if values.is_empty() else 100.0 * float(values.cast(pl.Float64).to_numpy().mean())
