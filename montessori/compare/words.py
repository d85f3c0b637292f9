"""What a comparison says in plain sentences, by its corrected p-values."""

import math
from collections.abc import Mapping
from typing import Any

from montessori.compare.outcomes import LENGTH_CONTROLLED, MEAN, ordered

Row = Mapping[str, Mapping[str, float]]  # metric -> entry
MOST_NAMES = 8  # benchmarks that a sentence names


def signed(value: float | None) -> str:
    """A number with its sign and one digit, the minus a true one; nearly nothing is +0.0."""
    return f"{value or 0.0:+z.1f}".replace("-", "\u2212")


def titled(metric: str) -> str:
    """A metric as tables call it: (LC) stands for length-controlled."""
    return f"{metric} (LC)" if metric in LENGTH_CONTROLLED else metric


def verdict(entry: Mapping[str, float], confidence: float) -> str:
    """ "better", "worse" or "undecided" than the baseline, by the corrected p-value."""
    if entry.get("p_holm", 1.0) > 1.0 - confidence + 1e-12:
        return "undecided"
    return "better" if entry["delta"] > 0 else "worse"


def sentences(comparison: Mapping[str, Any]) -> list[str]:
    """One sentence for each run but the baseline, in the order of the runs."""
    baseline, confidence = comparison["baseline"], comparison["confidence"]
    return [sentence(run, row, baseline, confidence)
            for run, row in comparison["runs"].items() if run != baseline]  # fmt: skip


def sentence(run: str, row: Row, baseline: str, confidence: float) -> str:
    """Where a run beats the baseline, where it loses to it, and what is undecided."""
    names: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
    for name in ordered(row):
        if name != MEAN:
            names[verdict(row[name], confidence)].append(name)
    count = sum(map(len, names.values()))
    parts = [
        f"{verb} {baseline} on {len(names[kind])} of {count} ({_listed(names[kind])})"
        for kind, verb in (("better", "beats"), ("worse", "loses to"))
        if names[kind]
    ]
    if not parts:
        parts.append(f"is not told apart from {baseline} on any benchmark")
    elif names["undecided"]:
        parts.append(f"{_listed(names['undecided'])} undecided")
    mean = row[MEAN]
    return (
        f"{run} {'; '.join(parts)}. Mean {mean['delta']:+.1f} ({mean['low']:+.1f} to "
        f"{mean['high']:+.1f}), corrected p {p_text(mean.get('p_holm', 1.0))}: "
        f"{verdict(mean, confidence)}."
    )


def _listed(names: list[str]) -> str:
    """The names, the first ones of many."""
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return ", ".join(names[: MOST_NAMES - 2]) + f" and {len(names) - MOST_NAMES + 2} more"


def p_text(p: float) -> str:
    """A p-value with two figures, at least 0.0001."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def legend(comparison: Mapping[str, Any]) -> str:
    """How the numbers of a table were made and what they cover."""
    percent = f"{100 * comparison['confidence']:g}"
    return (
        f"All metrics on 0-100; the mean is over {_count(_in_mean(comparison), 'benchmark')}. In "
        f"brackets the difference from {comparison['baseline']} with its {percent} % interval: a "
        f"paired bootstrap over items ({comparison['resamples']} samples). An asterisk marks "
        "differences whose p-value from the same samples, by Holm's correction for all "
        f"{comparison['comparisons']} comparisons of the table, is at most "
        f"{1 - comparison['confidence']:.2g}; the sentences go by that, the intervals are not "
        "corrected. All of it covers the choice of items, not the choice of seed."
    )


def notes(comparison: Mapping[str, Any]) -> list[str]:
    """What the table leaves out or cannot tell: benchmarks that runs lack, too few resamples."""
    found = []
    benchmarks, baseline = comparison["benchmarks"], comparison["baseline"]
    for name in ordered(benchmarks):
        lacking = benchmarks[name]["missing_in"]
        if baseline in lacking.split(", "):
            found.append(
                f"{name} is not compared: {baseline}, the baseline, has no outcomes of it."
            )
        elif lacking:
            found.append(f"{name}: no outcomes of {lacking}; only the others are compared.")
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
            f"No difference can be told apart here: {comparison['comparisons']} comparisons need "
            f"at least {needed} resamples (compare.resamples is {comparison['resamples']})."
        )
    return found


def _in_mean(comparison: Mapping[str, Any]) -> int:
    return sum(bool(facts["in_mean"]) for facts in comparison["benchmarks"].values())


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
