"""What a comparison says in plain sentences, by its corrected p-values."""

import math
from collections.abc import Mapping
from typing import Any

from montessori.compare.run_outcomes import LENGTH_CONTROLLED, MEAN, order_metrics

Row = Mapping[str, Mapping[str, float]]  # metric -> entry
MOST_NAMES = 8  # benchmarks that a sentence names


def format_signed(value: float | None) -> str:
    """A number with its sign and one digit, the minus a true one; nearly nothing is +0.0."""
    return f"{value or 0.0:+z.1f}".replace("-", "\u2212")


def metric_title(metric: str) -> str:
    """A metric as tables call it: (LC) stands for length-controlled."""
    return f"{metric} (LC)" if metric in LENGTH_CONTROLLED else metric


def counterpart_of(comparison: Mapping[str, Any], run: str) -> str:
    """The run that a run is compared with: itself where it is no comparison, else mostly the
    baseline."""
    other: str = comparison.get("against", {}).get(run, comparison["baseline"])
    return other


def run_label(comparison: Mapping[str, Any], run: str) -> str:
    """A run, and what it is compared with where that is not the baseline."""
    other = counterpart_of(comparison, run)
    return run if other in (run, comparison["baseline"]) else f"{run} (against {other})"


def verdict_on(entry: Mapping[str, float], confidence: float) -> str:
    """ "better", "worse" or "undecided" than what the run is compared with, by the corrected
    p-value."""
    if entry.get("p_holm", 1.0) > 1.0 - confidence + 1e-12:
        return "undecided"
    return "better" if entry["delta"] > 0 else "worse"


def write_sentences(comparison: Mapping[str, Any]) -> list[str]:
    """One sentence for each run that is compared with another, in the order of the runs."""
    return [write_sentence(run, row, other, comparison["confidence"])
            for run, row in comparison["runs"].items()
            if (other := counterpart_of(comparison, run)) != run]  # fmt: skip


def write_sentence(run: str, row: Row, other: str, confidence: float) -> str:
    """Where a run beats the other one, where it loses to it, and what is undecided."""
    names: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
    for name in order_metrics(row):
        if name != MEAN:
            names[verdict_on(row[name], confidence)].append(name)
    count = sum(map(len, names.values()))
    parts = [
        f"{verb} {other} on {len(names[kind])} of {count} ({_list_names(names[kind])})"
        for kind, verb in (("better", "beats"), ("worse", "loses to"))
        if names[kind]
    ]
    if not parts:
        parts.append(f"has no significant difference from {other} on any benchmark")
    elif names["undecided"]:
        parts.append(f"{_list_names(names['undecided'])} undecided")
    mean = row[MEAN]
    return (
        f"{run} {'; '.join(parts)}. Mean {mean['delta']:+.1f} ({mean['low']:+.1f} to "
        f"{mean['high']:+.1f}), corrected p {format_p(mean.get('p_holm', 1.0))}: "
        f"{verdict_on(mean, confidence)}."
    )


def _list_names(names: list[str]) -> str:
    """The names, the first ones of many."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return ", ".join(names[: MOST_NAMES - 2]) + f" and {len(names) - MOST_NAMES + 2} more"


def format_p(p: float) -> str:
    """A p-value with two figures, at least 0.0001."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def write_legend(comparison: Mapping[str, Any]) -> str:
    """How the numbers of a table were made and what they cover."""
    percent, base = f"{100 * comparison['confidence']:g}", comparison["baseline"]
    if any(run_label(comparison, run) != run for run in comparison["runs"]):
        base += ", or from the run that a row names,"
    return (
        f"All metrics on 0-100; the mean is over {_plural(_in_mean(comparison), 'benchmark')}. In "
        f"brackets the difference from {base} with its {percent} % interval: a "
        f"paired bootstrap over items ({comparison['resamples']} samples). An asterisk marks "
        "differences whose p-value from the same samples, by Holm's correction for all "
        f"{comparison['comparisons']} comparisons of the table, is at most "
        f"{1 - comparison['confidence']:.2g}; the sentences go by that, the intervals are not "
        "corrected. All of it covers the choice of items, not the choice of seed."
    )


def write_notes(comparison: Mapping[str, Any]) -> list[str]:
    """What the table leaves out or cannot tell: runs that are not compared, benchmarks that runs
    lack, too few resamples."""
    baseline, benchmarks = comparison["baseline"], comparison["benchmarks"]
    found = [
        f"{run} is compared with no run: it is judged against itself, not against what "
        f"{baseline} is judged against."
        for run in comparison["runs"]
        if run == counterpart_of(comparison, run) != baseline
    ]
    for name in order_metrics(benchmarks):
        if benchmarks[name]["missing_in"]:
            found.append(_note_missing(comparison, name))
        left_out = benchmarks[name]["left_out"]
        if left_out:
            of = left_out + benchmarks[name]["items"]
            found.append(
                f"{name}: {left_out} of {of} items are left out, since a run has no usable verdict."
            )
    alpha = 1.0 - comparison["confidence"]
    least = comparison["comparisons"] / (comparison["resamples"] + 1)
    if least > alpha + 1e-12:
        needed = math.ceil(comparison["comparisons"] / alpha - 1 - 1e-9)
        found.append(
            f"No difference can be significant here: {comparison['comparisons']} comparisons need "
            f"at least {needed} resamples (compare.resamples is {comparison['resamples']})."
        )
    return found


def _note_missing(comparison: Mapping[str, Any], name: str) -> str:
    """Which runs have no outcomes of a benchmark, and which are not compared on it for that."""
    missing = comparison["benchmarks"][name]["missing_in"]
    lacking, baseline = missing.split(", "), comparison["baseline"]
    pairs = [(run, counterpart_of(comparison, run)) for run in comparison["runs"]]
    having = [(run, other) for run, other in pairs if run not in lacking and run != other]
    alone = [run for run, other in having if other in lacking]
    if baseline in lacking and len(alone) == len(having):
        return f"{name} is not compared: {baseline}, the baseline, has no outcomes of it."
    so = f", with which {_list_names(alone)} would be compared" if alone else ""
    return f"{name}: no outcomes of {missing}{so}; only the others are compared."


def _in_mean(comparison: Mapping[str, Any]) -> int:
    return sum(bool(facts["in_mean"]) for facts in comparison["benchmarks"].values())


def _plural(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
