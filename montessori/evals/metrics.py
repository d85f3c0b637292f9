"""The metrics of a run from its verdicts and from lm-eval, and the outcome of every item."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from montessori.evals.heldout import heldout_metrics, heldout_outcomes
from montessori.evals.items import (
    GSM8K,
    HELDOUT,
    LENGTH_CONTROLLED,
    MMLU,
    ONE_TO_TEN,
    ORDER,
    group_by_benchmark,
)
from montessori.evals.judging.checker import Checker
from montessori.evals.judging.diagnostics import summarize_judging
from montessori.evals.judging.verdicts import ANSWERS_THINKING
from montessori.evals.lab_benchmarks.pair_metrics import (
    length_differences,
    pair_metrics,
    preferences_by_item,
)
from montessori.evals.lab_benchmarks.score_scale import HIGHEST, LOWEST, to_percent
from montessori.evals.lab_benchmarks.turn_metrics import scores_by_item, turn_metrics

if TYPE_CHECKING:
    from montessori.evals.lab_benchmarks.run_lm_eval import HarnessResult
    from montessori.evals.published.length_control import Gamed

CHECKER: Mapping[str, Any] = {"name": Checker.name}
#: Counts of odd answers in the metrics, and the note on such an answer in the verdicts.
ODD_ANSWERS = {
    "empty": "empty",
    "truncated": "truncated",
    "beyond_context": "context",
    "thinking_only": "thinking",
}


def compute_metrics(
    judged: pl.DataFrame,
    harness: "HarnessResult | None",
    judge: Mapping[str, Any] = CHECKER,
    heldout: pl.DataFrame | None = None,
    gamed: "Gamed | None" = None,
) -> dict[str, Any]:
    """Metrics of a run: rates on 0-100, MT-Bench on 1-10, `mean` the plain average on 0-100.

    The loss on held-out rows, in nats, has another unit and is not part of the mean.

    judged: verdicts (schema VERDICTS). harness: results of the closed benchmarks, if it has any.
    judge: judge.json of the verdicts; unless it is the lab's checker, the metrics also have its
    facts under `judge` and counts of its verdicts under `judging`. heldout: losses on held-out rows
    (`measure_heldout`), if there are any. gamed: AlpacaEval's table of gamed answers, if known.
    """
    values: dict[str, Any] = {}
    for name, rows in _by_benchmark(judged):
        if name in ONE_TO_TEN:
            values |= turn_metrics(name, rows)
        else:
            values |= pair_metrics(name, rows, gamed)
    values |= _closed_metrics(harness)
    metrics = {
        **values,
        **({} if heldout is None else heldout_metrics(heldout)),
        "mean": _mean_of_headlines(values),
        "items": _count_items(judged, harness, heldout),
        **_count_odd_answers(judged, harness),
        "length": _means_by(judged, "benchmark", "length"),  # characters of an answer
        "versions": {} if harness is None else harness.versions,
    }
    judge = dict(judge)
    if thinking := judge.pop(ANSWERS_THINKING, 0):
        metrics["thinking"] = thinking
    if judge != CHECKER:
        metrics["judge"] = {**judge, "logprobs": "logprobs" in set(judged["method"])}
        metrics["judging"] = {name: summarize_judging(rows) for name, rows in _by_benchmark(judged)}
    return metrics


def _by_benchmark(judged: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each benchmark with verdicts and its rows, in the order of tables."""
    present = set(judged["benchmark"])
    for name in ORDER:
        if name in present:
            yield name, judged.filter(pl.col("benchmark") == name)


def _closed_metrics(harness: "HarnessResult | None") -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    if harness is not None and harness.choices:
        choices = pl.DataFrame(harness.choices)
        metrics[MMLU] = _mean_percent(choices, "acc")
        metrics[f"{MMLU}_norm"] = _mean_percent(choices, "acc_norm")
        metrics[f"{MMLU}_subjects"] = _means_by(choices, "subject", "acc", 100.0)
    if harness is not None and harness.words:
        words = pl.DataFrame(harness.words)
        metrics[GSM8K] = _mean_percent(words, "strict")
        metrics[f"{GSM8K}_flexible"] = _mean_percent(words, "flexible")
    return metrics


def _mean_of_headlines(values: Mapping[str, Any]) -> float | None:
    """The mean of the benchmarks' headlines on 0-100; None if there is none or one is None.

    Each benchmark has one weight, whether it has one headline or two.
    """
    scaled = {}
    for name in ORDER:
        if name in values:
            if values[name] is None:
                return None
            in_points = name in ONE_TO_TEN
            scaled[name] = float(to_percent(values[name])) if in_points else values[name]
    means = [np.mean([scaled[name] for name in group]) for group in group_by_benchmark([*scaled])]
    return float(np.mean(means)) if means else None


def _count_items(
    judged: pl.DataFrame, harness: "HarnessResult | None", heldout: pl.DataFrame | None
) -> dict[str, int]:
    counts = {name: rows["item_id"].n_unique() for name, rows in _by_benchmark(judged)}
    if harness is not None and harness.choices:
        counts[MMLU] = len(harness.choices)
    if harness is not None and harness.words:
        counts[GSM8K] = len(harness.words)
    if heldout is not None:
        counts[HELDOUT] = heldout.height
    return counts


def _count_odd_answers(
    judged: pl.DataFrame, harness: "HarnessResult | None"
) -> dict[str, dict[str, int]]:
    """Empty and truncated answers, and questions that left no room for one, by benchmark."""
    word_notes = [] if harness is None else [row["note"] for row in harness.words]
    counts = {}
    for key, note in ODD_ANSWERS.items():
        counts[key] = {name: _count_noted(rows, note) for name, rows in _by_benchmark(judged)}
        if word_notes:
            counts[key][GSM8K] = word_notes.count(note)
    for key in ("beyond_context", "thinking_only"):
        if not any(counts[key].values()):
            del counts[key]
    return counts


def _count_noted(rows: pl.DataFrame, note: str) -> int:
    """Answers with this note; an answer may have several verdicts."""
    return rows.filter(pl.col("note") == note).unique(["item_id", "turn"]).height


# ------------------------------------------------------------------------------------ outcomes
def compute_outcomes(
    judged: pl.DataFrame,
    harness: "HarnessResult | None",
    heldout: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per item, with the columns of `montessori.evals.outcomes`.

    A held-out row has one for all such rows and one for those of its skill.
    """
    tables = []
    for name, rows in _by_benchmark(judged):
        if name in LENGTH_CONTROLLED:
            items = preferences_by_item(rows)
            value, difference = items["preference"] * 100.0, length_differences(items)
            tables.append(_outcome_rows(name, items["item_id"], value, difference))
        else:
            items = scores_by_item(rows)
            # Not by `to_percent`, for which a missing score would become NaN instead of null.
            value = (items["score"] - LOWEST) / (HIGHEST - LOWEST)
            tables.append(_outcome_rows(name, items["item_id"], value * 100.0, None))
    if harness is not None and harness.choices:
        choices = pl.DataFrame(harness.choices)
        tables.append(_outcome_rows(MMLU, choices["item_id"], choices["acc"] * 100.0, None))
    if harness is not None and harness.words:
        words = pl.DataFrame(harness.words)
        tables.append(_outcome_rows(GSM8K, words["item_id"], words["strict"] * 100.0, None))
    for name, losses in ({} if heldout is None else heldout_outcomes(heldout)).items():
        tables.append(_outcome_rows(name, losses["item_id"], losses["loss"], None))
    return pl.concat(tables)


def _outcome_rows(
    benchmark: str, items: pl.Series, value: pl.Series, difference: pl.Series | None
) -> pl.DataFrame:
    """Outcomes of one benchmark; without `difference` the column length_difference is empty."""
    if difference is None:
        difference = pl.Series([None] * items.len(), dtype=pl.Float64)
    return pl.DataFrame({"item_id": items, "value": value}).with_columns(
        pl.lit(benchmark).alias("benchmark"), difference.alias("length_difference")
    )


def _mean_percent(frame: pl.DataFrame, name: str) -> float:
    """The mean of a column of shares, on 0-100."""
    return float(frame.select(pl.col(name).mean()).item()) * 100.0


def _means_by(frame: pl.DataFrame, key: str, value: str, scale: float = 1.0) -> dict[str, float]:
    """The mean of a column by the values of another, in their order."""
    means = frame.group_by(key, maintain_order=True).agg(pl.col(value).mean() * scale).sort(key)
    return {str(name): mean for name, mean in means.iter_rows()}
