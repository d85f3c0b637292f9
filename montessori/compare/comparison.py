"""The runs side by side: each metric on 0-100, its delta against the baseline, an interval and
p-values. A run that is judged against another run than the baseline is compared with that one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from montessori.artifacts.files import read_json
from montessori.compare.bootstrap import bootstrap_metric, observed_metric
from montessori.compare.run_outcomes import (
    LENGTH_CONTROLLED,
    MEAN,
    ONE_TO_TEN,
    ORDER,
    RunOutcomes,
    order_metrics,
    read_run_outcomes,
)
from montessori.compare.settings import CompareParams
from montessori.errors import MontessoriError
from montessori.evals.lab_benchmarks import score_scale
from montessori.evals.significance import bootstrap_p, correct_by_holm
from montessori.evals.statistics import Floats, percentile_interval
from montessori.graph.rows import Exam, Harness, Run

#: Between a metric file and the outcomes beside it; outcomes are written with 4 decimals.
TOLERANCE = 0.01
#: Length-controlled rates by AlpacaEval's own regression, with penalties found by cross-validation:
#: too slow for every sample. Their values are those of the metric file, the spread around them
#: is that of the regression that is fitted in every sample.
PUBLISHED = ("alpaca_eval", "alpaca_eval_public")
#: Metrics that are told alike by the metric file and the outcomes.
CHECKED = tuple(name for name in ORDER if name not in PUBLISHED)

#: {"value", "delta", "low", "high"}, and "p", "p_holm" where a run is compared with another.
Entry = dict[str, float]
Runs = dict[str, dict[str, Entry]]  # run -> metric -> entry
Samples = Mapping[str, Mapping[str, Floats]]  # run -> metric -> (resamples,)


def compare_runs(
    runs: Mapping[str, Run],
    evals: Path,
    outcomes: Path,
    params: CompareParams,
    harnesses: Mapping[str, Harness] | None = None,
    exams: Mapping[str, Exam] | None = None,
) -> dict[str, Any]:
    """The comparison of the named runs, as metrics/compare.json has it.

    evals, outcomes: folders of <run>.json and <run>.csv, the latter with harness/<row>.csv and
    exam/<row>.csv for the rows of `harnesses` and `exams` whose model is a run's; files of others
    are ignored.
    Returns {"over": "items", "baseline", "against": the run that each run is compared with,
    "confidence", "resamples", "comparisons": differences that Holm's correction covers,
    "benchmarks": facts by name, "runs": entries by run and metric}.
    Raises MontessoriError when the baseline or a run to compare with is no run, a file is missing,
    runs differ in items, or a metric file does not fit its outcomes.
    """
    others = find_counterparts(runs, params.baseline)
    found = read_run_outcomes(runs, harnesses or {}, exams or {}, Path(outcomes))
    told = {run: _read_published(Path(evals) / f"{run}.json") for run in runs}
    table = compute_entries(found, params, told, others)
    for run in runs:
        checked = [name for name in CHECKED if name in table[run] and not found.left_out[name]]
        _require_fresh(Path(evals) / f"{run}.json", table[run], checked)
    return {
        "over": "items",
        "baseline": params.baseline,
        "against": others,
        "confidence": params.confidence,
        "resamples": params.resamples,
        "comparisons": sum("p" in entry for row in table.values() for entry in row.values()),
        "benchmarks": {name: _describe_benchmark(found, name) for name in found.benchmarks},
        "runs": table,
    }


def find_counterparts(runs: Mapping[str, Run], baseline: str) -> dict[str, str]:
    """The run that each run is compared with, by name.

    Win rates are against a run's own `against`, so only runs that share it are comparable: those
    judged against the same run as the baseline are compared with the baseline, all others with
    their own `against`. A run that is its own `against` is then no comparison, nor is the baseline.
    Raises MontessoriError when the baseline or the run to compare with is no run.
    """
    if baseline not in runs:
        raise _no_run(f"the baseline {baseline!r}", "compare.baseline", runs)
    common = runs[baseline].against
    others = {name: baseline if run.against == common else run.against
              for name, run in runs.items()}  # fmt: skip
    for name, other in others.items():
        if other not in runs:
            raise _no_run(f"{other!r}, which {name} is against,", f"runs.{name}.against", runs)
    return others


def _no_run(what: str, key: str, runs: Mapping[str, Run]) -> MontessoriError:
    return MontessoriError(
        f"{what} is no run", where=f"params.yaml: {key}",
        expected="one of " + ", ".join(runs), next="montessori check",
    )  # fmt: skip


def _describe_benchmark(found: RunOutcomes, name: str) -> dict[str, Any]:
    """Items and metric of a benchmark, whether the mean holds it, and the runs without it.

    left_out: further items on which some run has no usable verdict.
    """
    first = found.runs[found.runs_with(name)[0]][name]
    return {
        "items": len(first.items),
        "left_out": found.left_out[name],
        "metric": "length-controlled win rate" if name in LENGTH_CONTROLLED else "mean",
        "in_mean": name in found.in_mean,
        "missing_in": ", ".join(found.runs_without(name)),
    }


def _read_published(path: Path) -> dict[str, float]:
    """The values of PUBLISHED in a metric file, as far as it has them."""
    metrics = read_json(path)
    return {name: float(metrics[name]) for name in PUBLISHED if metrics.get(name) is not None}


def compute_entries(
    found: RunOutcomes,
    params: CompareParams,
    published: Mapping[str, Mapping[str, float]] | None = None,
    others: Mapping[str, str] | None = None,
) -> Runs:
    """Entries of each run and metric. Where a run or the one that it is compared with lacks a
    benchmark there is none; p-values are those of a paired bootstrap, and corrected for the number
    of all of them. A run that is compared with itself has delta 0 and no p-value.

    published: by run and metric, values in place of those of the outcomes; samples move with them.
    others: the run that each is compared with; the baseline for all without it.
    """
    others = others or dict.fromkeys(found.runs, params.baseline)
    values: dict[str, dict[str, float]] = {run: {} for run in found.runs}
    samples: dict[str, dict[str, Floats]] = {run: {} for run in found.runs}
    for name in found.benchmarks:
        having = {run: found.runs[run][name] for run in found.runs_with(name)}
        if not any(others[run] in having for run in having):
            continue
        for run, drawn in bootstrap_metric(name, having, params.resamples).items():
            value = observed_metric(name, having[run])
            told = (published or {}).get(run, {}).get(name, value)
            values[run][name] = told
            samples[run][name] = drawn + (told - value)
    for run in found.runs:
        values[run][MEAN] = float(np.mean([values[run][name] for name in found.in_mean]))
        samples[run][MEAN] = np.mean([samples[run][name] for name in found.in_mean], axis=0)
    table = {}
    for run in found.runs:
        table[run] = _entries_of_run(run, others[run], values, samples, params.confidence)
    return _add_corrected_p(table)


def _entries_of_run(
    run: str,
    other: str,
    values: Mapping[str, Mapping[str, float]],
    samples: Samples,
    confidence: float,
) -> dict[str, Entry]:
    made = {}
    for name in order_metrics(name for name in values[run] if name in values[other]):
        deltas = samples[run][name] - samples[other][name]
        low, high = percentile_interval(deltas, confidence)
        value = values[run][name]
        delta = value - values[other][name]
        made[name] = {"value": value, "delta": delta, "low": low, "high": high}
        if run != other:
            made[name]["p"] = bootstrap_p(deltas, delta)
    return made


def _add_corrected_p(table: Runs) -> Runs:
    """The table with `p_holm` beside each `p`: Holm's correction over the whole table."""
    p_values = {(run, name): entry["p"] for run, row in table.items()
                for name, entry in row.items() if "p" in entry}  # fmt: skip
    for (run, name), value in correct_by_holm(p_values).items():
        table[run][name]["p_holm"] = value
    return table


def _require_fresh(path: Path, row: Mapping[str, Entry], names: list[str]) -> None:
    """Raise MontessoriError when a metric file tells other values than the outcomes."""
    metrics = read_json(path)
    for name in names:
        told = float(metrics.get(name, float("nan")))
        told = float(score_scale.to_percent(told)) if name in ONE_TO_TEN else told
        if not abs(told - row[name]["value"]) <= TOLERANCE:
            raise MontessoriError(
                f"{name} is {told:.4f} here and {row[name]['value']:.4f} by the outcomes",
                where=str(path),
                expected="metrics and outcomes of one evaluation",
                next=f"dvc repro eval@{path.stem}",
            )
