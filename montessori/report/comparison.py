"""The comparison in the report: sentences, a table, two charts."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.compare.sentences import (
    counterpart_of,
    format_p,
    format_signed,
    metric_title,
    run_label,
    verdict_on,
    write_legend,
    write_notes,
    write_sentences,
)
from montessori.report.page import Markup, paragraph, table
from montessori.report.svg import COLOURS, Interval, intervals, steps

ELSEWHERE = "\u2020"  # a dagger: in the chart, a difference to another run than the baseline
CLASSES = {"better": "up", "worse": "down", "undecided": "level"}


def metrics_of(comparison: Mapping[str, Any]) -> list[str]:
    """The metrics of any run, the mean first, then in the order of tables."""
    names = order_metrics(name for row in comparison["runs"].values() for name in row)
    return [MEAN, *(name for name in names if name != MEAN)]


def lead(comparison: Mapping[str, Any]) -> list[str]:
    """One sentence for each run that is compared with another."""
    found = write_sentences(comparison) if comparison.get("runs") else []
    return found or ["No comparison yet: run dvc repro."]


def explanation(comparison: Mapping[str, Any]) -> Markup:
    """How the table was made, and what it leaves out."""
    texts = [
        write_legend(comparison),
        "An interval over seeds, which also holds the luck of sampling and training, is in "
        "metrics/proof (make proof).",
        *write_notes(comparison),
    ]
    if any(run_label(comparison, run) != run for run in comparison["runs"]):
        texts.append(f"In the chart {ELSEWHERE} marks differences to the run that the table names.")
    return Markup("".join(paragraph(text, "soft") for text in texts))


def metric_table(comparison: Mapping[str, Any]) -> Markup:
    """Runs by metrics: the value, and under it the difference, its interval and p-values."""
    names, baseline = metrics_of(comparison), comparison["baseline"]
    rows = [
        [
            f"{run} (baseline)" if run == baseline else run_label(comparison, run),
            *(_cell(row.get(name), comparison["confidence"]) for name in names),
        ]
        for run, row in comparison["runs"].items()
    ]
    return table(["run", *map(metric_title, names)], rows)


def _cell(entry: Mapping[str, float] | None, confidence: float) -> Markup:
    if entry is None:
        return Markup("")
    if "p_holm" not in entry:
        return Markup(f"{entry['value']:.1f}")
    found = verdict_on(entry, confidence)
    span = f"{format_signed(entry['low'])} to {format_signed(entry['high'])}"
    mark = "" if found == "undecided" else "*"
    text = escape(f"{format_signed(entry['delta'])} ({span}){mark}")
    p_values = escape(f"p {format_p(entry['p'])}, corrected {format_p(entry['p_holm'])}")
    return Markup(
        f'{entry["value"]:.1f}<small><span class="{CLASSES[found]}">{text}</span></small>'
        f"<small>{p_values}</small>"
    )


def chart(comparison: Mapping[str, Any]) -> str:
    """The mean's difference to the baseline, or the run that is named in the table, with its
    interval, for every run that is compared."""
    rows = [
        Interval(
            run if other == comparison["baseline"] else f"{run} {ELSEWHERE}",
            row[MEAN]["delta"], row[MEAN]["low"], row[MEAN]["high"],
        )
        for run, row in comparison["runs"].items()
        if (other := counterpart_of(comparison, run)) != run
    ]  # fmt: skip
    return intervals(rows, "Difference of the mean to the baseline")


def steps_charts(comparison: Mapping[str, Any]) -> list[str]:
    """Every metric over the runs in order, as many in a chart as there are colours."""
    runs, names = comparison["runs"], metrics_of(comparison)
    parts = [names[start : start + COLOURS] for start in range(0, len(names), COLOURS)]
    return [
        steps(
            list(runs),
            {metric_title(name): [row.get(name, {}).get("value") for row in runs.values()]
             for name in part},
            "Metric by run",
            "0-100",
        )
        for part in parts
    ]  # fmt: skip
