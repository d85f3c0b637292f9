"""The comparison in the report: a sentence, a table, two charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .page import Markup, table
from .svg import Interval, intervals, steps

METRICS = {
    "mean": "mean",
    "micro_alpaca_eval": "micro_alpaca_eval (LC)",
    "micro_mt_bench": "micro_mt_bench",
    "micro_mmlu": "micro_mmlu",
    "micro_gsm8k": "micro_gsm8k",
}


def signed(value: float) -> str:
    """+1.2 or a true minus sign and 1.2."""
    return f"{value:+.1f}".replace("-", "\u2212")


def baseline_of(comparison: Mapping[str, Any], runs: Sequence[str]) -> str | None:
    """The run that deltas are against: as named, else the one whose differences are all zero."""
    found = comparison.get("runs", {})
    zero = (run for run in runs if run in found and _all_zero(found[run]))
    return comparison.get("baseline") or next(zero, None)


def _all_zero(metrics: Mapping[str, Any]) -> bool:
    entries = [metrics[name] for name in METRICS if name in metrics]
    return all(not (e.get("delta") or e.get("low") or e.get("high")) for e in entries)


def lead(comparison: Mapping[str, Any], runs: Sequence[str]) -> str:
    """What the table says on the mean, in a sentence for each run but the baseline."""
    found = comparison.get("runs", {})
    baseline = baseline_of(comparison, runs)
    known = [run for run in runs if "mean" in found.get(run, {}) and run != baseline]
    sentences = [_sentence(run, baseline or "the baseline", found[run]) for run in known]
    return " ".join(sentences) or "No comparison yet: run dvc repro."


def _sentence(run: str, baseline: str, metrics: Mapping[str, Any]) -> str:
    entry = metrics["mean"]
    low, high = entry.get("low"), entry.get("high")
    if low is None or high is None:
        return f"{run}: {signed(entry['delta'])} against {baseline} on the mean, no interval."
    span = f"{signed(low)} to {signed(high)}"
    verdict = "above" if low > 0 else "below" if high < 0 else "not distinguishable from"
    return f"{run} is {verdict} {baseline} on the mean ({signed(entry['delta'])}; {span})."


def metric_table(comparison: Mapping[str, Any], runs: Sequence[str]) -> Markup:
    """Runs by metrics: the value, and under it the difference with its interval."""
    rows = [[run, *(_cell(comparison["runs"][run].get(name)) for name in METRICS)] for run in runs]
    return table(["run", *METRICS.values()], rows)


def _cell(entry: Mapping[str, float | None] | None) -> Markup:
    if not entry or entry.get("value") is None:
        return Markup("")
    value, delta = entry["value"], entry.get("delta")
    low, high = entry.get("low"), entry.get("high")
    if delta is None or low is None or high is None or not (delta or low or high):
        return Markup(f"{value:.1f}")
    kind = "up" if low > 0 else "down" if high < 0 else "level"
    text = escape(f"{signed(delta)} ({signed(low)} to {signed(high)})")
    return Markup(f'{value:.1f}<small class="{kind}"><span class="{kind}">{text}</span></small>')


def chart(comparison: Mapping[str, Any], runs: Sequence[str]) -> str:
    """The mean's difference to the baseline with its interval, for every other run."""
    found = comparison["runs"]
    baseline = baseline_of(comparison, runs)
    others = [run for run in runs if "mean" in found[run] and run != baseline]
    rows = [
        Interval(run, e.get("delta") or 0.0, e.get("low"), e.get("high"))
        for run in others
        for e in [found[run]["mean"]]
    ]
    return intervals(rows, "Difference of the mean to the baseline")


def steps_chart(comparison: Mapping[str, Any], runs: Sequence[str]) -> str:
    """Every metric over the runs in order: what a round adds."""
    series = {
        title: [comparison["runs"][run].get(name, {}).get("value") for run in runs]
        for name, title in METRICS.items()
    }
    return steps(runs, series, "Metric by run", "0-100")
