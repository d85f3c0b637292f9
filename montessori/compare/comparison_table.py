"""The comparison as a Markdown table with a sentence per run, and as data for `dvc plots`."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.atomic import write_text
from montessori.artifacts.files import read_json
from montessori.compare.run_outcomes import order_metrics
from montessori.compare.sentences import (
    Row,
    counterpart_of,
    digits_of,
    format_value,
    metric_title,
    run_label,
    verdict_on,
    write_legend,
    write_notes,
    write_sentences,
)
from montessori.errors import MontessoriError
from montessori.evals.items import is_heldout_part

KEYS = ("over", "baseline", "confidence", "resamples", "comparisons", "benchmarks", "runs")
FIGURES = ("value", "delta", "low", "high", "p", "p_holm")
PLOT = ("bar", "run", "metric", *FIGURES)
PARTS_TITLE = (
    "The loss on held-out rows by skill, in nats per token, less is better. The intervals are made "
    "in the same way; these differences are not tested."
)


def format_comparison(comparison: Path, params: Mapping[str, Any]) -> str:
    """The Markdown table of metrics/compare.json, its runs in the order of params.yaml.

    params: params.yaml as loaded. Raises MontessoriError where there is no comparison yet, or one
    of an earlier version.
    """
    return format_markdown(read_comparison(comparison, params.get("runs", {})))


def read_comparison(path: Path, runs: Iterable[str]) -> dict[str, Any]:
    """The content of metrics/compare.json with the named runs only, in their order.

    Raises MontessoriError where there is none, or one of an earlier version without p-values.
    """
    if not path.is_file():
        raise MontessoriError(
            "there is no comparison yet", where=str(path), next="make repro (or dvc repro)"
        )
    comparison = read_json(path)
    missing = [key for key in KEYS if not isinstance(comparison, Mapping) or key not in comparison]
    if missing:
        raise MontessoriError(
            f"the comparison has no {', '.join(missing)}",
            where=str(path),
            expected="one that this version made",
            next="dvc repro compare",
        )
    # The comparison may be older than params.yaml and have other runs.
    recorded = comparison["runs"]
    return {**comparison, "runs": {run: recorded[run] for run in runs if run in recorded}}


def write_plot(path: Path, comparison: Mapping[str, Any]) -> None:
    """Write the values as CSV with the columns PLOT; `bar` is "metric run"."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(PLOT)
    for run, row in comparison["runs"].items():
        for name in order_metrics(row):
            entry = row[name]
            numbers = [f"{entry[key]:.4f}" if key in entry else "" for key in FIGURES]
            writer.writerow([f"{metric_title(name)} {run}", run, name, *numbers])
    write_text(path, text.getvalue())


def format_markdown(comparison: Mapping[str, Any]) -> str:
    """The table, its legend, a sentence for each run that is compared, and notes.

    Held-out rows have a second table, by skill.
    """
    names = order_metrics(set().union(*comparison["runs"].values()))
    skills = [name for name in names if is_heldout_part(name)]
    lines = ["# Comparison of the runs", "", write_legend(comparison), ""]
    lines += _format_table(comparison, [name for name in names if name not in skills])
    if skills:
        lines += ["", PARTS_TITLE, "", *_format_table(comparison, skills)]
    for listed in (write_sentences(comparison), write_notes(comparison)):
        lines += ["", *(f"- {text}" for text in listed)] if listed else []
    return "\n".join(lines) + "\n"


def _format_table(comparison: Mapping[str, Any], names: list[str]) -> list[str]:
    head = "| run | " + " | ".join(map(metric_title, names)) + " |"
    rows = [_format_row(run, row, names, comparison) for run, row in comparison["runs"].items()]
    return [head, "|---|" + "---|" * len(names), *rows]


def _format_row(run: str, row: Row, names: list[str], comparison: Mapping[str, Any]) -> str:
    alone = counterpart_of(comparison, run) == run
    cells = [_format_cell(row.get(name), name, alone, comparison["confidence"]) for name in names]
    label = run_label(comparison, run)
    head = f"**{run}** (baseline)" if run == comparison["baseline"] else label
    return f"| {head} | " + " | ".join(cells) + " |"


def _format_cell(
    entry: Mapping[str, float] | None, name: str, alone: bool, confidence: float
) -> str:
    """Value and difference; only the value of a run that is compared with no other (`alone`)."""
    if entry is None:
        return ""
    value, digits = format_value(entry["value"], name), digits_of(name)
    if alone:
        return value
    # Escaped, so that Markdown shows the asterisk and does not begin italics.
    mark = "" if verdict_on(entry, confidence, name) == "undecided" else "\\*"
    delta, low, high = (f"{entry[key]:+.{digits}f}" for key in ("delta", "low", "high"))
    return f"{value} ({delta}; {low} to {high}){mark}"
