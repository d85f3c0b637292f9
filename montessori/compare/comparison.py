"""The runs side by side: each metric, its difference from another run, how sure that is.

Metrics are on 0-100; the loss on held-out rows is in nats per token, and less of it is better.

A run is compared with the baseline, or with its own `against` if it was judged against another run
than the baseline was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from montessori.artifacts.files import read_json
from montessori.compare.bootstrap import bootstrap_metric, observed_metric
from montessori.compare.run_outcomes import (
    MEAN,
    RunOutcomes,
    drop_losses,
    order_metrics,
    read_run_outcomes,
)
from montessori.compare.settings import CompareParams
from montessori.errors import MontessoriError
from montessori.evals.items import (
    AGAINST_REFERENCE,
    HELDOUT,
    LENGTH_CONTROLLED,
    ONE_TO_TEN,
    ORDER,
    PUBLIC_ALPACA,
    group_by_benchmark,
    is_heldout_part,
    is_loss,
)
from montessori.evals.lab_benchmarks.score_scale import to_percent
from montessori.evals.significance import bootstrap_p, correct_by_holm
from montessori.evals.statistics import Floats, percentile_interval
from montessori.graph.rows import Exam, Harness, Run

#: Largest difference between a metric file and the outcomes, which are written with 4 decimals.
TOLERANCE = 0.01
LOSS_TOLERANCE = 0.001  # the same of a loss in nats
#: Length-controlled rates by AlpacaEval's own regression, whose cross-validated penalties are too
#: slow to find in every sample. Their values are those of the metric file, and their spread is
#: that of the simpler regression fitted in every sample.
PUBLISHED = (PUBLIC_ALPACA, AGAINST_REFERENCE)
#: Metrics whose values in the metric file must equal those of the outcomes.
CHECKED = tuple(name for name in ORDER if name not in PUBLISHED)

#: {"value", "delta", "low", "high"}, and "p", "p_holm" where a run is compared with another.
Entry = dict[str, float]
Runs = dict[str, dict[str, Entry]]  # run -> metric -> entry


@dataclass(frozen=True)
class Measured:
    """A metric of a run on 0-100, and its value in each bootstrap sample, (resamples,)."""

    value: float
    samples: Floats


def compare_runs(
    runs: Mapping[str, Run],
    evals: Path,
    outcomes: Path,
    params: CompareParams,
    harnesses: Mapping[str, Harness] | None = None,
    exams: Mapping[str, Exam] | None = None,
) -> dict[str, Any]:
    """Compare the runs of params.yaml, in the form of metrics/compare.json.

    evals: folder of <run>.json, the metrics of each run. outcomes: folder of <run>.csv,
    harness/<row>.csv and exam/<row>.csv. Files of other runs and rows are ignored.
    Returns {"over": "items", "baseline", "against": the run that each run is compared with,
    "confidence", "resamples", "comparisons": differences that Holm's correction covers,
    "benchmarks": facts by name, "runs": entries by run and metric}.
    Raises MontessoriError when the baseline or a run to compare with does not exist, a file is
    missing, runs differ in items, or a metric file does not fit its outcomes.
    """
    against = find_counterparts(runs, params.baseline)
    compared = read_run_outcomes(runs, harnesses or {}, exams or {}, Path(outcomes))
    tokens = {run: _read_tokens(Path(evals) / f"{run}.json") for run in runs}
    other_tokens = [run for run in runs if tokens[run] != tokens[against[run]]]
    compared = drop_losses(compared, other_tokens)
    published = {run: _read_published(Path(evals) / f"{run}.json") for run in runs}
    table = compute_entries(compared, params, published, against)
    for run in runs:
        # A metric file counts items that the comparison drops, so only whole benchmarks are equal.
        checked = [name for name in CHECKED if name in table[run] and not compared.dropped[name]]
        _require_fresh(Path(evals) / f"{run}.json", table[run], checked)
    return {
        "over": "items",
        "baseline": params.baseline,
        "against": against,
        "confidence": params.confidence,
        "resamples": params.resamples,
        "comparisons": len(_p_values(table)),
        "benchmarks": {
            name: _describe_benchmark(compared, name, other_tokens) for name in compared.benchmarks
        },
        "runs": table,
    }


def find_counterparts(runs: Mapping[str, Run], baseline: str) -> dict[str, str]:
    """The run that each run is compared with, by name.

    A win rate is against the run's own `against`, so only runs that share it are comparable. Runs
    judged against the same run as the baseline are compared with the baseline, all others with
    their own `against`. The baseline, and a run that is its own `against`, map to themselves.
    Raises MontessoriError when the baseline or the run to compare with is not a run.
    """
    if baseline not in runs:
        raise _no_run(f"the baseline {baseline!r}", "compare.baseline", runs)
    common = runs[baseline].against
    counterparts = {}
    for name, run in runs.items():
        other = baseline if run.against == common else run.against
        if other not in runs:
            raise _no_run(f"{other!r}, which {name} is against,", f"runs.{name}.against", runs)
        counterparts[name] = other
    return counterparts


def _no_run(what: str, key: str, runs: Mapping[str, Run]) -> MontessoriError:
    return MontessoriError(
        f"{what} is not a run",
        where=f"params.yaml: {key}",
        expected="one of " + ", ".join(runs),
        next="montessori check",
    )


def _describe_benchmark(
    compared: RunOutcomes, name: str, other_tokens: Sequence[str]
) -> dict[str, Any]:
    """Items and metric of a benchmark, whether it counts in the mean, and the runs without it.

    left_out: items on which no run is compared, because some run has no value there.
    other_tokens: runs whose losses are not compared, only for held-out rows.
    """
    first = compared.runs[compared.runs_with(name)[0]][name]
    unlike = [run for run in other_tokens if is_loss(name)]
    missing = [run for run in compared.runs_without(name) if run not in unlike]
    metric = "length-controlled win rate" if name in LENGTH_CONTROLLED else "mean"
    facts = {
        "items": len(first.items),
        "left_out": compared.dropped[name],
        "metric": "mean loss in nats per token, less is better" if is_loss(name) else metric,
        "in_mean": name in compared.in_mean,
        "missing_in": ", ".join(missing),
    }
    return facts | ({"other_tokens": ", ".join(unlike)} if unlike else {})


def _read_tokens(path: Path) -> int | None:
    """Response tokens of the held-out rows that a metric file counts; None without such rows."""
    tokens: int | None = read_json(path).get(f"{HELDOUT}_tokens")
    return tokens


def _read_published(path: Path) -> dict[str, float]:
    """The values of PUBLISHED that a metric file has."""
    metrics = read_json(path)
    return {name: float(metrics[name]) for name in PUBLISHED if metrics.get(name) is not None}


# ------------------------------------------------------------------------------------ entries
def compute_entries(
    compared: RunOutcomes,
    params: CompareParams,
    published: Mapping[str, Mapping[str, float]] | None = None,
    counterparts: Mapping[str, str] | None = None,
) -> Runs:
    """Compute the entry of each run and metric.

    There is none where the run or the run that it is compared with lacks the benchmark. p-values
    are those of a paired bootstrap, corrected for their number in the whole table. A run that is
    compared with itself has delta 0 and no p-value, and neither has a skill of the held-out rows.

    published: values by run and metric that replace those of the outcomes; samples move with them.
    counterparts: the run that each run is compared with; None: the baseline for all.
    """
    counterparts = counterparts or dict.fromkeys(compared.runs, params.baseline)
    measured = _measure_runs(compared, params.resamples, published or {}, counterparts)
    table: Runs = {}
    for run, metrics in measured.items():
        other = counterparts[run]
        table[run] = {}
        for name in order_metrics(metrics.keys() & measured[other].keys()):
            entry = _compare_metric(metrics[name], measured[other][name], params.confidence)
            # A run against itself is no test, and the skills of held-out rows are not tested: both
            # must not enter the correction.
            if run == other or is_heldout_part(name):
                del entry["p"]
            table[run][name] = entry
    for (run, name), value in correct_by_holm(_p_values(table)).items():
        table[run][name]["p_holm"] = value
    return table


def _measure_runs(
    compared: RunOutcomes,
    resamples: int,
    published: Mapping[str, Mapping[str, float]],
    counterparts: Mapping[str, str],
) -> dict[str, dict[str, Measured]]:
    """Measure each benchmark of each run, and the mean over the benchmarks of all runs.

    A benchmark that is scored twice has one weight in the mean.
    """
    measured: dict[str, dict[str, Measured]] = {run: {} for run in compared.runs}
    for name in compared.benchmarks:
        outcomes = {run: compared.runs[run][name] for run in compared.runs_with(name)}
        if not any(counterparts[run] in outcomes for run in outcomes):
            continue  # no run could be compared, so the draw would be for nothing
        for run, samples in bootstrap_metric(name, outcomes, resamples).items():
            value = observed_metric(name, outcomes[run])
            reported = published.get(run, {}).get(name, value)
            # The published fit sets the value, the fit of the samples the spread around it.
            measured[run][name] = Measured(reported, samples + (reported - value))
    groups = group_by_benchmark(compared.in_mean)
    for metrics in measured.values():
        averaged = [_average([metrics[name] for name in group]) for group in groups]
        metrics[MEAN] = _average(averaged)
    return measured


def _average(metrics: Sequence[Measured]) -> Measured:
    value = float(np.mean([metric.value for metric in metrics]))
    return Measured(value, np.mean([metric.samples for metric in metrics], axis=0))


def _compare_metric(own: Measured, other: Measured, confidence: float) -> Entry:
    """The entry of one metric: value, difference, ends of its interval and its p-value."""
    deltas = own.samples - other.samples
    low, high = percentile_interval(deltas, confidence)
    delta = own.value - other.value
    return {
        "value": own.value,
        "delta": delta,
        "low": low,
        "high": high,
        "p": bootstrap_p(deltas, delta),
    }


def _p_values(table: Runs) -> dict[tuple[str, str], float]:
    """The p-values of a table, by run and metric."""
    p_values = {}
    for run, row in table.items():
        for name, entry in row.items():
            if "p" in entry:
                p_values[run, name] = entry["p"]
    return p_values


def _require_fresh(path: Path, row: Mapping[str, Entry], names: list[str]) -> None:
    """Raise MontessoriError when a metric file has other values than the outcomes."""
    metrics = read_json(path)
    for name in names:
        value = float(metrics.get(name, float("nan")))
        if name in ONE_TO_TEN:
            value = float(to_percent(value))
        # Not `> TOLERANCE`, which is false for a metric that is missing and therefore NaN.
        tolerance = LOSS_TOLERANCE if is_loss(name) else TOLERANCE
        if not abs(value - row[name]["value"]) <= tolerance:
            raise MontessoriError(
                f"{name} is {value:.4f} here and {row[name]['value']:.4f} by the outcomes",
                where=str(path),
                expected="metrics and outcomes of one evaluation",
                next=f"dvc repro eval@{path.stem}",
            )
