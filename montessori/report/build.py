"""Build the report's page from the comparison, the metrics and the plot data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from montessori.artifacts.atomic import write_text
from montessori.report import sources
from montessori.report.comparison import (
    explain_table,
    lead_sentences,
    mean_chart,
    metric_charts,
    metric_table,
)
from montessori.report.decontamination import decontamination_tables
from montessori.report.page import (
    Markup,
    figure_grid,
    folded_part,
    html_document,
    html_paragraph,
    html_table,
    link_list,
)
from montessori.report.svg import grouped_bars, histogram_chart, line_chart

CURVES = (("teacher-dpo", "DPO loss of the teacher"), ("student-sft", "SFT loss of the students"))
#: Folders of metrics/ that hold no metrics of stages.
OTHER_FOLDERS = ("outcomes", "plots", "proof", "runtime")
SAMPLES = 6
SIGNS = {"+": 0, "positive": 0, "1": 0, "-": 1, "negative": 1, "-1": 1}
MOST_CURVES = 6  # as many as there are colours

T = TypeVar("T")


def build_report(
    out: Path,
    comparison: Mapping[str, Any],
    runs: Sequence[str],
    metrics_root: Path,
    data_root: Path | None = None,
    pages: Mapping[str, str] | None = None,
) -> None:
    """Write the page `out`, one self-contained HTML file.

    comparison: the content of metrics/compare.json. runs: names in the order to show.
    metrics_root: the folder `metrics`; for missing files the page has a line instead.
    data_root: the folder `data` with sample rows and answers; None for a report without samples.
    pages: the addresses of the runs' pages of answers, relative to `out`.
    """
    known = [run for run in runs if run in comparison.get("runs", {})]
    comparison = {**comparison, "runs": {run: comparison["runs"][run] for run in known}}
    sections = [
        ("Comparison", _comparison_section(comparison)),
        ("Answers", _answers_section(pages or {})),
        ("Decontamination", decontamination_tables(comparison.get("decontamination"))),
        ("Influence", _influence_section(metrics_root, runs)),
        ("Task families", _skills_section(metrics_root, runs)),
        ("Training", _training_section(metrics_root, runs)),
        ("Stage metrics", _stage_metrics(metrics_root, runs)),
        ("Seconds and memory", _runtime_section(metrics_root)),
    ]
    if data_root is not None:
        sections.append(("Samples", _samples_section(data_root, runs)))
    write_text(out, html_document("Montessori", lead_sentences(comparison), sections))


def _missing_note(what: str) -> Markup:
    return html_paragraph(f"Nothing to show: {what} not found.", "soft")


def _order_by_runs(named: Mapping[str, T], runs: Sequence[str]) -> list[tuple[str, T]]:
    """Order the items of a mapping as the runs of the same names; others come last, by name."""
    position = {run: index for index, run in enumerate(runs)}
    return sorted(named.items(), key=lambda item: (position.get(item[0], len(runs)), item[0]))


def _comparison_section(comparison: Mapping[str, Any]) -> str:
    if not comparison["runs"]:
        return _missing_note("metrics/compare.json")
    percent = f"{100 * comparison['confidence']:g}"
    charts = [
        (f"Difference of the mean to the baseline, {percent} % interval", mean_chart(comparison))
    ]
    charts += [("Metric by run", chart) for chart in metric_charts(comparison)]
    return metric_table(comparison) + explain_table(comparison) + figure_grid(charts)


def _answers_section(pages: Mapping[str, str]) -> str:
    if not pages:
        return _missing_note("pages with the runs' answers")
    text = (
        "Every answer beside the answer of the run it is compared with, and the judge's verdict. "
        "dvc repro or dvc pull puts these pages beside this one."
    )
    return html_paragraph(text, "soft") + link_list(pages)


def _influence_section(root: Path, runs: Sequence[str]) -> str:
    """A histogram of each row of `influences`; its file has columns influence, rows, sign."""
    charts = []
    for name, rows in _order_by_runs(sources.read_csv_files(root / "plots" / "influence"), runs):
        bins = []
        for row in rows:
            influence = sources.parse_number(row.get("influence"))
            count = sources.parse_number(row.get("rows"))
            if influence is not None and count is not None:
                colour = SIGNS.get(row.get("sign", ""), int(influence < 0))
                bins.append((influence, count, colour))
        if bins:
            charts.append((name, histogram_chart(bins, f"Influence, {name}", "influence")))
    if not charts:
        return _missing_note("metrics/plots/influence/*.csv")
    text = (
        "Rows by the effect of one optimizer step on the reference loss; further right is better."
    )
    return html_paragraph(text, "soft") + figure_grid(charts)


def _skills_section(root: Path, runs: Sequence[str]) -> str:
    """Rows per task family in each dataset, side by side; files have columns skill, rows."""
    counts: dict[str, dict[str, float]] = {}
    for name, rows in _order_by_runs(sources.read_csv_files(root / "plots" / "synth"), runs):
        for row in rows:
            number = sources.parse_number(row.get("rows"))
            if row.get("skill") and number is not None:
                counts.setdefault(row["skill"], {})[name] = number
    if not counts:
        return _missing_note("metrics/plots/synth/*.csv")
    # The first dataset decides the order of the families, so that its bars fall from top to bottom.
    first = next(iter(next(iter(counts.values()))))
    ordered = dict(sorted(counts.items(), key=lambda item: -item[1].get(first, 0.0)))
    text = "Rows of each task family in each dataset."
    chart = ("Rows per task family", grouped_bars(ordered, text))
    return html_paragraph(text, "soft") + figure_grid([chart])


def _training_section(root: Path, runs: Sequence[str]) -> str:
    """Loss curves; files have columns step, loss."""
    charts = []
    for kind, caption in CURVES:
        curves = {}
        for name, rows in _order_by_runs(sources.read_csv_files(root / "plots" / kind), runs):
            points = sources.curve_points(rows, "step", "loss")
            if points:
                curves[name] = points
        names = list(curves)
        # More curves than colours would repeat a colour in one chart.
        for start in range(0, len(names), MOST_CURVES):
            part = {name: curves[name] for name in names[start : start + MOST_CURVES]}
            charts.append((caption, line_chart(part, caption, "step", "loss")))
    if not charts:
        return _missing_note("metrics/plots/teacher-dpo, student-sft")
    return figure_grid(charts)


def _stage_metrics(root: Path, runs: Sequence[str]) -> str:
    """One table per folder of stage metrics: a row per metric, a column per name.

    Which stages have metrics is read from the folders themselves: DVC lets no stage depend on
    dvc.yaml, and the page of stage `compare` shows what its folder holds.
    """
    parts = []
    for folder in _metrics_folders(root):
        kind = folder.relative_to(root).as_posix()
        columns: dict[str, dict[str, str]] = {}
        keys: dict[str, None] = {}  # in order, each once
        for name, values in _order_by_runs(sources.read_json_files(folder), runs):
            columns[name] = _flatten_metrics(values)
            keys |= dict.fromkeys(columns[name])
        rows = [[key, *(column.get(key, "") for column in columns.values())] for key in keys]
        if rows:
            parts.append(folded_part(kind, html_table(["metric", *columns], rows)))
    return "".join(parts) or _missing_note("metrics/<stage>/<name>.json")


def _metrics_folders(root: Path) -> list[Path]:
    """The folders below `root` that hold metrics of stages, in the order of their names."""
    folders = {path.parent for path in root.glob("*/**/*.json")}
    return sorted(
        folder for folder in folders if folder.relative_to(root).parts[0] not in OTHER_FOLDERS
    )


def _flatten_metrics(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten nested metrics to dotted keys and short numbers; lists are dropped."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten_metrics(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            flat[prefix + key] = f"{value:.4g}" if isinstance(value, float) else str(value)
    return flat


def _runtime_section(root: Path) -> str:
    """Seconds and peak memory of the last real run of every stage on this machine."""
    rows, total = [], 0.0
    for folder in sorted((root / "runtime").glob("*/")):
        for name, values in sources.read_json_files(folder).items():
            seconds = float(values.get("seconds") or 0.0)
            total += seconds
            memory = float(values.get("peak_memory_mib") or 0.0)
            rows.append((seconds, [f"{folder.name}@{name}", f"{seconds:.1f}", f"{memory:,.0f}"]))
    if not rows:
        return _missing_note("metrics/runtime")
    ordered = [row for _, row in sorted(rows, key=lambda item: -item[0])]
    ordered.append(["all", f"{total:.1f}", ""])
    return html_table(["stage", "seconds", "peak memory, MiB"], ordered)


def _samples_section(data: Path, runs: Sequence[str]) -> str:
    """The first rows of each dataset, and the runs' answers side by side."""
    parts = []
    for name, rows in sources.dataset_samples(data / "datasets", SAMPLES).items():
        cells = [[row["instruction"], row["response"], row["skill"]] for row in rows]
        written = html_table(["instruction", "response", "family"], cells, text=True)
        parts.append(folded_part(f"dataset {name}", written))
    answers = sources.answer_samples(data / "answers", SAMPLES)
    named = [run for run in runs if answers.get(run)]
    if named:
        cells = [
            [row["prompt"], *(_answer_to(answers[run], row) for run in named)]
            for row in answers[named[0]]
        ]
        parts.append(
            folded_part("answers side by side", html_table(["prompt", *named], cells, text=True))
        )
    return "".join(parts) or _missing_note("datasets and answers")


def _answer_to(rows: Sequence[Mapping[str, str]], like: Mapping[str, str]) -> str:
    """The answer to the same item and turn."""
    same = (r for r in rows if (r["item_id"], r["turn"]) == (like["item_id"], like["turn"]))
    return next((row["answer"] for row in same), "")
