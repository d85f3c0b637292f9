"""The report's section on the comparison: sentences, a table and charts."""

from collections.abc import Mapping
from html import escape
from typing import Any

from montessori.compare.comparison_table import PARTS_TITLE
from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.compare.sentences import (
    counterpart_of,
    format_p,
    format_signed,
    format_value,
    metric_title,
    run_label,
    verdict_on,
    write_legend,
    write_notes,
    write_sentences,
)
from montessori.evals.items import is_heldout_part, is_loss
from montessori.report.page import Markup, html_paragraph, html_table
from montessori.report.svg import COLOURS, Interval, interval_chart, step_chart

ELSEWHERE = "\u2020"  # a dagger marks a chart's differences to a run other than the baseline
CLASSES = {"better": "up", "worse": "down", "undecided": "level"}


def metrics_of(comparison: Mapping[str, Any]) -> list[str]:
    """List the metrics of all runs, the mean first, then in table order."""
    names = order_metrics(name for row in comparison["runs"].values() for name in row)
    return [MEAN, *(name for name in names if name != MEAN)]


def lead_sentences(comparison: Mapping[str, Any]) -> list[str]:
    """One sentence for each run that is compared with another."""
    texts = write_sentences(comparison) if comparison.get("runs") else []
    return texts or ["No comparison yet: run dvc repro."]


def explain_table(comparison: Mapping[str, Any]) -> Markup:
    """Explain how the table was made and what it does not cover."""
    texts = [
        write_legend(comparison),
        "Intervals over seeds, which also cover the randomness of sampling and training, are in "
        "metrics/proof (make proof).",
        *write_notes(comparison),
    ]
    if any(run_label(comparison, run) != run for run in comparison["runs"]):
        texts.append(f"In the chart {ELSEWHERE} marks differences to the run that the table names.")
    return Markup("".join(html_paragraph(text, "soft") for text in texts))


def metric_table(comparison: Mapping[str, Any]) -> Markup:
    """Show runs by metrics: the value, and below it the difference, its interval and p-values.

    The skills of held-out rows are a table of their own below it.
    """
    names = metrics_of(comparison)
    skills = [name for name in names if is_heldout_part(name)]
    table = _table_of(comparison, [name for name in names if name not in skills])
    if not skills:
        return table
    return Markup(table + html_paragraph(PARTS_TITLE, "soft") + _table_of(comparison, skills))


def _table_of(comparison: Mapping[str, Any], names: list[str]) -> Markup:
    rows = []
    for run, entries in comparison["runs"].items():
        is_baseline = run == comparison["baseline"]
        name = f"{run} (baseline)" if is_baseline else run_label(comparison, run)
        alone = counterpart_of(comparison, run) == run
        cells = []
        for metric in names:
            cells.append(_metric_cell(entries.get(metric), metric, alone, comparison["confidence"]))
        rows.append([name, *cells])
    return html_table(["run", *map(metric_title, names)], rows)


def _metric_cell(
    entry: Mapping[str, float] | None, metric: str, alone: bool, confidence: float
) -> Markup:
    if entry is None:
        return Markup("")
    value = format_value(entry["value"], metric)
    if alone:
        return Markup(value)
    outcome = verdict_on(entry, confidence, metric)
    low, high = format_signed(entry["low"], metric), format_signed(entry["high"], metric)
    mark = "" if outcome == "undecided" else "*"
    text = escape(f"{format_signed(entry['delta'], metric)} ({low} to {high}){mark}")
    difference = f'{value}<small><span class="{CLASSES[outcome]}">{text}</span></small>'
    if "p_holm" not in entry:
        return Markup(difference)
    p_values = escape(f"p {format_p(entry['p'])}, corrected {format_p(entry['p_holm'])}")
    return Markup(f"{difference}<small>{p_values}</small>")


def mean_chart(comparison: Mapping[str, Any]) -> str:
    """Draw each compared run's difference of the mean, with its interval.

    It is the difference to the baseline, or to the run that the table names.
    """
    rows = []
    for run, entries in comparison["runs"].items():
        other = counterpart_of(comparison, run)
        if other == run:  # the baseline, or a run that is compared with nothing
            continue
        label = run if other == comparison["baseline"] else f"{run} {ELSEWHERE}"
        mean = entries[MEAN]
        rows.append(Interval(label, mean["delta"], mean["low"], mean["high"]))
    return interval_chart(rows, "Difference of the mean to the baseline")


def metric_charts(comparison: Mapping[str, Any]) -> list[str]:
    """Draw every metric over the runs in order, as many in a chart as there are colours.

    Losses on held-out rows are in charts of their own, because they are not on 0-100.
    """
    names = metrics_of(comparison)
    shares = [name for name in names if not is_loss(name)]
    losses = [name for name in names if is_loss(name)]
    return _charts_of(comparison, shares, "0-100") + _charts_of(
        comparison, losses, "nats per token"
    )


def _charts_of(comparison: Mapping[str, Any], names: list[str], unit: str) -> list[str]:
    runs, charts = comparison["runs"], []
    for start in range(0, len(names), COLOURS):
        series = {}
        for name in names[start : start + COLOURS]:
            series[metric_title(name)] = [
                entries.get(name, {}).get("value") for entries in runs.values()
            ]
        charts.append(step_chart(list(runs), series, "Metric by run", unit))
    return charts
