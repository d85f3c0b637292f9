"""Metrics of benchmarks that are judged in pairs: win rates, length control, position bias."""

from typing import Any

import polars as pl

from montessori.evals.items import ALPACA
from montessori.evals.lab_benchmarks.ridge_length_control import length_controlled_rate
from montessori.evals.published.alpaca_scores import NONE, win_rates
from montessori.evals.published.length_control import FOLDS, Floats, fit_weights, length_term
from montessori.evals.statistics import win_rate


def preferences_by_item(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per item from its verdicts (one or both orders), in the order of the items.

    Columns item_id, preference, length, against_length, difficulty. The preference is the mean over
    the orders, null unless every one of them has a verdict: a single one may be biased.
    """
    usable = pl.col("preference").is_not_null().all()
    return rows.group_by("item_id", maintain_order=True).agg(
        pl.when(usable).then(pl.col("preference").mean()).alias("preference"),
        pl.col("length", "against_length", "difficulty").first(),
    )


def length_differences(items: pl.DataFrame) -> pl.Series:
    """Characters of the run's answer minus those of the other answer, as f64."""
    return (items["length"] - items["against_length"]).cast(pl.Float64)


def pair_metrics(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    """The metrics of benchmark `name` from its verdicts, on 0-100; the headline is `name` itself.

    None where no item has a verdict. The lab's headline is that of
    `ridge_length_control`, AlpacaEval's is the published regression of `published.length_control`.
    """
    items = preferences_by_item(rows).filter(pl.col("preference").is_not_null())
    if items.is_empty():
        return {name: None, f"{name}_win_rate": None, f"{name}_standard_error": None}
    preference = items["preference"].to_numpy()
    if name == ALPACA:
        rate, error = win_rate(preference)
        controlled = float(
            length_controlled_rate(preference, length_differences(items).to_numpy())[0]
        )
        found: dict[str, Any] = {}
    else:
        found = win_rates(preference)
        rate, error = found.pop("win_rate"), found.pop("standard_error")
        at_equal_length, method = predict_at_equal_length(items)
        controlled = rate if at_equal_length is None else win_rate(at_equal_length)[0]
        found["length_controlled_method"] = method
        if at_equal_length is not None:
            found["lc_standard_error"] = win_rate(at_equal_length)[1]
    values = {name: controlled, f"{name}_win_rate": rate, f"{name}_standard_error": error}
    return values | {f"{name}_{key}": value for key, value in found.items()}


def predict_at_equal_length(items: pl.DataFrame) -> tuple[Floats | None, str]:
    """Preferences (items,) that AlpacaEval's regression predicts at equal length, and its form.

    None and "none" where the items are too few for its folds; the headline is then the plain rate.
    """
    if items.height < FOLDS:
        return None, NONE
    lengths = (items[side].cast(pl.Float64).to_numpy() for side in ("against_length", "length"))
    term = length_term(*lengths)
    known = items["difficulty"].null_count() == 0
    difficulty = items["difficulty"].to_numpy() if known else None
    weights = fit_weights(items["preference"].to_numpy(), term, difficulty)
    at = 0.0 * term if difficulty is None else difficulty
    return weights.predict(at), "fit-with-difficulty" if known else "fit-minimal"


def position_bias(rows: pl.DataFrame) -> dict[str, Any]:
    """What the order of the answers did, on 0-100, over verdicts that were really asked for.

    swapped: share in which the other answer was shown first. win_rate_shown_first and _second: of
    the run's answer by its place. first_preferred: how often the answer shown first was thought the
    better one (ties half), 50 without bias.
    """
    asked = rows.filter((pl.col("method") != "identical") & pl.col("preference").is_not_null())
    swapped = asked["swapped"]
    first = pl.when(pl.col("swapped")).then(1.0 - pl.col("preference")).otherwise("preference")
    better = ((first - 0.5).sign() + 1.0) / 2.0
    return {
        "swapped": _mean_percent(swapped),
        "win_rate_shown_first": _mean_percent(asked.filter(~pl.col("swapped"))["preference"]),
        "win_rate_shown_second": _mean_percent(asked.filter(pl.col("swapped"))["preference"]),
        "first_preferred": _mean_percent(asked.select(better.alias("better"))["better"]),
    }


def _mean_percent(values: pl.Series) -> float | None:
    """The mean of shares on 0-100; None of none."""
    return None if values.is_empty() else 100.0 * float(values.cast(pl.Float64).to_numpy().mean())
