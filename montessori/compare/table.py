"""The comparison as a Markdown table with a sentence per run, and as data for `dvc plots`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts import read_json
from montessori.compare.comparison import MEAN, METRICS, Entry
from montessori.compare.settings import CompareParams
from montessori.errors import MontessoriError
from montessori.evals.items import BENCHMARKS
from montessori.evals.outcomes import write_text
from montessori.params import section

TITLES = {
    "micro_alpaca_eval": "alpaca_eval (LC)",
    "micro_mt_bench": "mt_bench",
    "micro_mmlu": "mmlu",
    "micro_gsm8k": "gsm8k",
    MEAN: "mean",
}


def table(comparison: Path, raw: Mapping[str, Any]) -> str:
    """The Markdown table of metrics/compare.json, its runs in the order of params.yaml (`raw`).

    Raises MontessoriError where there is no comparison yet.
    """
    if not comparison.is_file():
        raise MontessoriError(
            "there is no comparison yet", where=str(comparison), next="make repro (or dvc repro)"
        )
    runs = read_json(comparison)["runs"]
    order = [run for run in raw.get("runs", {}) if run in runs]
    params = section(raw, "compare", CompareParams)
    return markdown({"runs": {run: runs[run] for run in order}}, params)


def write_plot(path: Path, comparison: Mapping[str, Any]) -> None:
    """Write the values as CSV: bar ("metric run"), run, metric, value, delta, low, high."""
    lines = ["bar,run,metric,value,delta,low,high"]
    for run, row in comparison["runs"].items():
        for name in METRICS:
            numbers = (f"{row[name][key]:.4f}" for key in ("value", "delta", "low", "high"))
            lines.append(",".join([f"{TITLES[name]} {run}", run, name, *numbers]))
    write_text(path, "\n".join(lines) + "\n")


def markdown(comparison: Mapping[str, Any], params: CompareParams) -> str:
    """The table, its legend, and one plain sentence for each run but the baseline."""
    runs = comparison["runs"]
    percent = f"{100 * params.confidence:g}"
    titles = " | ".join(f"micro_{TITLES[name]}" for name in BENCHMARKS)
    lines = [
        "# Comparison of the runs",
        "",
        f"All metrics on 0-100. In brackets the difference from {params.baseline} with its "
        f"{percent} % interval: a paired bootstrap over items ({params.resamples} samples). The "
        "interval covers the choice of items, not the choice of seed.",
        "",
        f"| run | {titles} | mean |",
        "|---|" + "---|" * len(METRICS),
    ]
    lines += [_line(run, row, params.baseline) for run, row in runs.items()]
    lines += [""]
    lines += [f"- {sentence(run, row, params.baseline)}" for run, row in runs.items()
              if run != params.baseline]  # fmt: skip
    return "\n".join(lines) + "\n"


def _line(run: str, row: Mapping[str, Entry], baseline: str) -> str:
    name = f"**{run}** (baseline)" if run == baseline else run
    cells = (_cell(row[metric], run == baseline) for metric in METRICS)
    return f"| {name} | " + " | ".join(cells) + " |"


def _cell(entry: Entry, baseline: bool) -> str:
    if baseline:
        return f"{entry['value']:.1f}"
    delta, low, high = entry["delta"], entry["low"], entry["high"]
    return f"{entry['value']:.1f} ({delta:+.1f}; {low:+.1f} to {high:+.1f})"


def sentence(run: str, row: Mapping[str, Entry], baseline: str) -> str:
    """Where a run beats the baseline, loses to it, and where the interval holds zero."""
    better = [name for name in BENCHMARKS if row[name]["low"] > 0]
    worse = [name for name in BENCHMARKS if row[name]["high"] < 0]
    open_ = [name for name in BENCHMARKS if name not in better and name not in worse]
    parts = []
    if better:
        parts.append(f"beats {baseline} on {len(better)} of {len(BENCHMARKS)} "
                     f"({', '.join(better)})")  # fmt: skip
    if worse:
        parts.append(f"loses to {baseline} on {len(worse)} of {len(BENCHMARKS)} "
                     f"({', '.join(worse)})")  # fmt: skip
    if not parts:
        parts.append(f"is not told apart from {baseline} on any benchmark")
    elif open_:
        parts.append(f"{', '.join(open_)} undecided")
    mean = row[MEAN]
    return (
        f"{run} {'; '.join(parts)}. Mean {mean['delta']:+.1f} ({mean['low']:+.1f} to "
        f"{mean['high']:+.1f}): {_verdict(mean)}."
    )


def _verdict(entry: Entry) -> str:
    if entry["low"] > 0:
        return "better"
    return "worse" if entry["high"] < 0 else "undecided"
