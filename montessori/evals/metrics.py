"""The metrics of a run from its verdicts and from lm-eval, and the outcome of every item."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from montessori.evals.items import (
    AGAINST_REFERENCE,
    GSM8K,
    MMLU,
    MT_BENCH,
    ORDER,
    PAIRED,
    PUBLIC_MT_BENCH,
)
from montessori.evals.judging.checker import Checker
from montessori.evals.judging.diagnostics import summarize_judging
from montessori.evals.lab_benchmarks import pair_metrics, turn_metrics
from montessori.evals.lab_benchmarks.score_scale import HIGHEST, LOWEST, to_percent

if TYPE_CHECKING:
    from montessori.evals.lab_benchmarks.run_lm_eval import HarnessResult

PAIRS = (*PAIRED, AGAINST_REFERENCE)
TURNS = (MT_BENCH, PUBLIC_MT_BENCH)
GRADER: Mapping[str, Any] = {"name": Checker.name}


def compute_metrics(
    judged: pl.DataFrame,
    harness: "HarnessResult | None",
    judge: Mapping[str, Any] = GRADER,
) -> dict[str, Any]:
    """The metrics of a run; rates 0-100, MT-Bench 1-10, `mean` the plain average on 0-100.

    judge: judge.json of the verdicts. What a model judge did and took is under `judge` and
    `judging`.
    """
    values: dict[str, Any] = {}
    for name in _benchmarks_in(judged):
        rows = judged.filter(pl.col("benchmark") == name)
        metrics = turn_metrics.turn_metrics if name in TURNS else pair_metrics.pair_metrics
        values |= metrics(name, rows)
    values |= _closed_metrics(harness)
    return {
        **values,
        "mean": _mean_of_headlines(values),
        "items": _count_items(judged, harness),
        **_count_odd_answers(judged, harness),
        "length": _mean_lengths(judged),
        "versions": {} if harness is None else harness.versions,
        **({} if judge == GRADER else _judge_metrics(judged, judge)),
    }


def _benchmarks_in(judged: pl.DataFrame) -> list[str]:
    """The benchmarks with verdicts, in the order of tables."""
    found = set(judged["benchmark"])
    return [name for name in ORDER if name in found]


def _closed_metrics(harness: "HarnessResult | None") -> dict[str, Any]:
    found: dict[str, Any] = {}
    if harness is not None and harness.choices:
        choices = pl.DataFrame(harness.choices)
        found[MMLU] = _mean_percent(choices, "acc")
        found[f"{MMLU}_norm"] = _mean_percent(choices, "acc_norm")
        found[f"{MMLU}_subjects"] = _means_by(choices, "subject", "acc", 100.0)
    if harness is not None and harness.words:
        words = pl.DataFrame(harness.words)
        found[GSM8K] = _mean_percent(words, "strict")
        found[f"{GSM8K}_flexible"] = _mean_percent(words, "flexible")
    return found


def _mean_of_headlines(values: Mapping[str, Any]) -> float | None:
    """The mean of the headlines on 0-100, in the order of tables; None if one is."""
    found = [values[name] for name in ORDER if name in values]
    if None in found:
        return None
    names = [name for name in ORDER if name in values]
    scaled = [float(to_percent(value)) if name in TURNS else value
              for name, value in zip(names, found, strict=True)]  # fmt: skip
    return float(np.mean(scaled)) if scaled else None


def _count_items(judged: pl.DataFrame, harness: "HarnessResult | None") -> dict[str, int]:
    counts = {name: judged.filter(pl.col("benchmark") == name)["item_id"].n_unique()
              for name in _benchmarks_in(judged)}  # fmt: skip
    if harness is not None:
        counts |= {MMLU: len(harness.choices)} if harness.choices else {}
        counts |= {GSM8K: len(harness.words)} if harness.words else {}
    return counts


def _count_odd_answers(
    judged: pl.DataFrame, harness: "HarnessResult | None"
) -> dict[str, dict[str, int]]:
    """Empty and truncated answers by benchmark, and questions that left no room for one."""
    words = [] if harness is None else [row["note"] for row in harness.words]
    found = {}
    for key, note in (
        ("empty", "empty"),
        ("truncated", "truncated"),
        ("beyond_context", "context"),
    ):
        found[key] = _count_noted(judged, note) | ({GSM8K: words.count(note)} if words else {})
    if not any(found["beyond_context"].values()):
        del found["beyond_context"]
    return found


def _count_noted(judged: pl.DataFrame, note: str) -> dict[str, int]:
    """Answers with this note, by open benchmark."""
    noted = judged.filter(pl.col("note") == note).unique(["benchmark", "item_id", "turn"])
    return {name: int((noted["benchmark"] == name).sum()) for name in _benchmarks_in(judged)}


def _judge_metrics(judged: pl.DataFrame, judge: Mapping[str, Any]) -> dict[str, Any]:
    by_name = {name: summarize_judging(judged.filter(pl.col("benchmark") == name))
               for name in _benchmarks_in(judged)}  # fmt: skip
    methods = set(judged["method"])
    logprobs = "logprobs" in methods
    return {"judge": {**judge, "logprobs": logprobs}, "judging": by_name}


# ------------------------------------------------------------------------------------ outcomes
def compute_outcomes(judged: pl.DataFrame, harness: "HarnessResult | None") -> pl.DataFrame:
    """One row per item with the columns of montessori.evals.outcomes."""
    tables = []
    for name in _benchmarks_in(judged):
        rows = judged.filter(pl.col("benchmark") == name)
        if name in PAIRS:
            items = pair_metrics.preferences_by_item(rows)
            value, difference = items["preference"] * 100.0, pair_metrics.length_differences(items)
            tables.append(_outcome_rows(name, items["item_id"], value, difference))
        else:
            items = turn_metrics.scores_by_item(rows)
            value = (items["score"] - LOWEST) / (HIGHEST - LOWEST)
            tables.append(_outcome_rows(name, items["item_id"], value * 100.0, None))
    if harness is not None and harness.choices:
        tables.append(_outcome_rows(MMLU, *_outcome_column(harness.choices, "acc"), None))
    if harness is not None and harness.words:
        tables.append(_outcome_rows(GSM8K, *_outcome_column(harness.words, "strict"), None))
    return pl.concat(tables)


def _outcome_rows(
    benchmark: str, items: pl.Series, value: pl.Series, difference: pl.Series | None
) -> pl.DataFrame:
    frame = pl.DataFrame({"item_id": items, "value": value})
    empty = pl.Series([None] * frame.height, dtype=pl.Float64)
    return frame.with_columns(
        pl.lit(benchmark).alias("benchmark"),
        (empty if difference is None else difference).alias("length_difference"),
    )


def _outcome_column(rows: list[dict[str, Any]], name: str) -> tuple[pl.Series, pl.Series]:
    frame = pl.DataFrame(rows)
    return frame["item_id"], frame[name] * 100.0


def _mean_percent(frame: pl.DataFrame, name: str) -> float:
    """The mean of a column of shares, 0-100."""
    return float(frame.select(pl.col(name).mean()).item()) * 100.0


def _means_by(frame: pl.DataFrame, key: str, value: str, scale: float = 1.0) -> dict[str, float]:
    means = frame.group_by(key, maintain_order=True).agg(pl.col(value).mean() * scale).sort(key)
    return {str(name): mean for name, mean in means.iter_rows()}


def _mean_lengths(judged: pl.DataFrame) -> Mapping[str, float]:
    """Mean characters of an answer, by open benchmark."""
    return _means_by(judged, "benchmark", "length")
