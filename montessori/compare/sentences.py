"""What a comparison says in plain sentences: which run beats which, by corrected p-values."""

import math
from collections.abc import Mapping
from typing import Any

from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.evals.items import (
    HELDOUT,
    LENGTH_CONTROLLED,
    group_by_benchmark,
    is_heldout_part,
    is_loss,
)

Row = Mapping[str, Mapping[str, float]]  # metric -> entry
MOST_NAMES = 8  # benchmarks that a sentence names


def format_signed(value: float | None, metric: str = MEAN) -> str:
    """A difference of a metric with its sign, the typographic minus; nearly nothing is +0.0."""
    return f"{value or 0.0:+z.{digits_of(metric)}f}".replace("-", "\u2212")


def format_value(value: float, metric: str) -> str:
    """A value of a metric with as many digits as its unit needs."""
    return f"{value:.{digits_of(metric)}f}"


def digits_of(metric: str) -> int:
    """Digits behind the point: one on 0-100, three of a loss in nats."""
    return 3 if is_loss(metric) else 1


def metric_title(metric: str) -> str:
    """A metric's name in tables: (LC) stands for length-controlled."""
    if metric == HELDOUT:
        return f"{metric} (nats, less is better)"
    return f"{metric} (LC)" if metric in LENGTH_CONTROLLED else metric


def counterpart_of(comparison: Mapping[str, Any], run: str) -> str:
    """The run that a run is compared with; the run itself where it is compared with none."""
    counterpart: str = comparison.get("against", {}).get(run, comparison["baseline"])
    return counterpart


def run_label(comparison: Mapping[str, Any], run: str) -> str:
    """A run's name, with the run that it is compared with if that is not the baseline."""
    counterpart = counterpart_of(comparison, run)
    ordinary = counterpart in (run, comparison["baseline"])
    return run if ordinary else f"{run} (against {counterpart})"


def verdict_on(entry: Mapping[str, float], confidence: float, metric: str = MEAN) -> str:
    """ "better", "worse" or "undecided", by the corrected p-value of a difference.

    Of a loss less is better, of every other metric more.
    """
    # 1 - 0.95 is not exactly 0.05, and a p-value of exactly 0.05 counts as significant.
    if entry.get("p_holm", 1.0) > 1.0 - confidence + 1e-12:
        return "undecided"
    return "better" if (entry["delta"] > 0) != is_loss(metric) else "worse"


def write_sentences(comparison: Mapping[str, Any]) -> list[str]:
    """One sentence for each run that is compared with another, in the order of the runs."""
    texts = []
    for run, row in comparison["runs"].items():
        counterpart = counterpart_of(comparison, run)
        if counterpart != run:
            texts.append(write_sentence(run, row, counterpart, comparison["confidence"]))
    return texts


def write_sentence(run: str, row: Row, other: str, confidence: float) -> str:
    """On which benchmarks a run beats another one or loses to it, and which are undecided."""
    names: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
    for name in order_metrics(row):
        # The mean has a sentence of its own, and the skills of held-out rows are no benchmarks.
        if name != MEAN and not is_heldout_part(name):
            names[verdict_on(row[name], confidence, name)].append(name)
    count = sum(map(len, names.values()))
    parts = []
    for verdict, verb in (("better", "beats"), ("worse", "loses to")):
        if names[verdict]:
            listed = _list_names(names[verdict])
            parts.append(f"{verb} {other} on {len(names[verdict])} of {count} ({listed})")
    if not parts:
        parts.append(f"has no significant difference from {other} on any benchmark")
    elif names["undecided"]:
        parts.append(f"{_list_names(names['undecided'])} undecided")
    figures = [f"{run} {'; '.join(parts)}.", _figure_sentence("Mean", MEAN, row, confidence)]
    if HELDOUT in row:
        figures.append(_figure_sentence("Held-out loss", HELDOUT, row, confidence))
    return " ".join(figures)


def _figure_sentence(title: str, name: str, row: Row, confidence: float) -> str:
    entry, digits = row[name], digits_of(name)
    low, high = (f"{entry[end]:+.{digits}f}" for end in ("low", "high"))
    return (
        f"{title} {entry['delta']:+.{digits}f} ({low} to {high}), corrected p "
        f"{format_p(entry.get('p_holm', 1.0))}: {verdict_on(entry, confidence, name)}."
    )


def _list_names(names: list[str]) -> str:
    """The names, or the first ones and the number of the others."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return ", ".join(names[: MOST_NAMES - 2]) + f" and {len(names) - MOST_NAMES + 2} more"


def format_p(p: float) -> str:
    """A p-value with two figures, at least 0.0001."""
    if p < 0.0001:
        return "< 0.0001"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def write_legend(comparison: Mapping[str, Any]) -> str:
    """How the numbers of a table were made, and which uncertainty they cover."""
    percent, base = f"{100 * comparison['confidence']:g}", comparison["baseline"]
    if any(run_label(comparison, run) != run for run in comparison["runs"]):
        base += ", or from the run that a row names,"
    listed = [name for name, facts in comparison["benchmarks"].items() if facts["in_mean"]]
    in_mean = len(group_by_benchmark(listed))
    scale = "All metrics on 0-100"
    if HELDOUT in comparison["benchmarks"]:
        scale = (
            "Metrics on 0-100, but for the loss on held-out rows: it is the mean over rows of the "
            "mean over a row's response tokens, in nats, less is better, and it is not part of the "
            "mean"
        )
    return (
        f"{scale}; the mean is over {_count_of(in_mean, 'benchmark')}. In "
        f"brackets the difference from {base} with its {percent} % interval: a "
        f"paired bootstrap over items ({comparison['resamples']} samples). An asterisk marks "
        "differences whose p-value from the same samples, by Holm's correction for all "
        f"{comparison['comparisons']} comparisons of the table, is at most "
        f"{1 - comparison['confidence']:.2g}; the sentences use these p-values, the intervals are "
        "not corrected. All of it covers the choice of items, not the choice of seed."
    )


def _count_of(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


# -------------------------------------------------------------------------------------- notes
def write_notes(comparison: Mapping[str, Any]) -> list[str]:
    """What the table does not show or cannot decide, one sentence each.

    Runs that are compared with no run, benchmarks that runs lack, items without a verdict, too few
    bootstrap samples for any significance.
    """
    texts = []
    baseline, benchmarks = comparison["baseline"], comparison["benchmarks"]
    for run in comparison["runs"]:
        if run == counterpart_of(comparison, run) != baseline:
            texts.append(
                f"{run} is compared with no run: it is judged against itself, not against what "
                f"{baseline} is judged against."
            )
    for name in order_metrics(name for name in benchmarks if not is_heldout_part(name)):
        if benchmarks[name]["missing_in"]:
            texts.append(_note_missing(comparison, name))
        if benchmarks[name].get("other_tokens"):
            texts.append(
                f"{name}: {benchmarks[name]['other_tokens']} and the run to compare with divide "
                "the rows into different tokens, so their losses per token do not compare."
            )
        dropped = benchmarks[name]["left_out"]
        if dropped:
            asked = dropped + benchmarks[name]["items"]
            lacking = "response within eval.max_length" if is_loss(name) else "usable verdict"
            texts.append(
                f"{name}: {dropped} of {asked} items are dropped, because some run has no "
                f"{lacking} on them."
            )
    return [*texts, *_note_resamples(comparison)]


def _note_missing(comparison: Mapping[str, Any], name: str) -> str:
    """Which runs have no outcomes of a benchmark, and which are therefore not compared on it."""
    missing = comparison["benchmarks"][name]["missing_in"]
    lacking, baseline = missing.split(", "), comparison["baseline"]
    compared, alone = [], []  # runs with outcomes; those whose counterpart has none
    for run in comparison["runs"]:
        counterpart = counterpart_of(comparison, run)
        if run not in lacking and run != counterpart:
            compared.append(run)
            if counterpart in lacking:
                alone.append(run)
    if baseline in lacking and len(alone) == len(compared):
        return f"{name} is not compared: {baseline}, the baseline, has no outcomes of it."
    so = f", with which {_list_names(alone)} would be compared" if alone else ""
    return f"{name}: no outcomes of {missing}{so}; only the others are compared."


def _note_resamples(comparison: Mapping[str, Any]) -> list[str]:
    """A note where even the smallest possible p-value is not significant after the correction."""
    comparisons, resamples = comparison["comparisons"], comparison["resamples"]
    alpha = 1.0 - comparison["confidence"]
    smallest = comparisons / (resamples + 1)
    if smallest <= alpha + 1e-12:
        return []
    # Solved for resamples; a rounding error must not ask for one more.
    needed = math.ceil(comparisons / alpha - 1 - 1e-9)
    return [
        f"No difference can be significant here: {comparisons} comparisons need "
        f"at least {needed} resamples (compare.resamples is {resamples})."
    ]
