"""The runs side by side: each metric on 0-100, its delta against the baseline, an interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from montessori.artifacts import read_json
from montessori.compare.settings import CompareParams
from montessori.errors import MontessoriError
from montessori.evals import mt_bench
from montessori.evals.alpaca import length_controlled
from montessori.evals.items import ALPACA, BENCHMARKS, MT_BENCH
from montessori.evals.outcomes import Outcome, read_outcomes, require_same_items
from montessori.evals.statistics import Floats, interval, resample_counts, resampled_mean
from montessori.seeding import seed_of

MEAN = "mean"
#: Metrics of a comparison, in the order of tables.
METRICS = (*BENCHMARKS, MEAN)
#: Between a metric file and the outcomes beside it; outcomes are written with 4 decimals.
TOLERANCE = 0.01

Entry = dict[str, float]  # {"value", "delta", "low", "high"}
Runs = dict[str, dict[str, Entry]]  # run -> metric -> entry


def compare_runs(
    runs: Sequence[str], evals: Path, outcomes: Path, params: CompareParams
) -> dict[str, Any]:
    """The comparison of the named runs: {"over": "items", "runs": {run: {metric: entry}}}.

    evals, outcomes: folders of <run>.json and <run>.csv; files of other runs are ignored. Deltas
    are against params.baseline, `low` and `high` the ends of the paired bootstrap interval of the
    delta over items (value and delta 0-100). Raises MontessoriError when the baseline is no run,
    a file is missing, runs differ in items, or a metric file does not fit its outcomes.
    """
    if params.baseline not in runs:
        raise MontessoriError(
            f"the baseline {params.baseline!r} is no run",
            where="params.yaml: compare.baseline",
            expected="one of " + ", ".join(runs),
            next="montessori check",
        )
    found = {run: read_outcomes(Path(outcomes) / f"{run}.csv") for run in runs}
    table = intervals(found, params)
    for run in runs:
        _require_fresh(Path(evals) / f"{run}.json", table[run])
    return {"over": "items", "runs": table}


def intervals(outcomes: Mapping[str, Mapping[str, Outcome]], params: CompareParams) -> Runs:
    """Values, deltas and intervals of each run and metric, from outcomes by run and benchmark."""
    values: dict[str, dict[str, Floats]] = {run: {} for run in outcomes}
    samples: dict[str, dict[str, Floats]] = {run: {} for run in outcomes}
    for name in BENCHMARKS:
        require_same_items([(run, found[name]) for run, found in outcomes.items()], name)
        items = len(outcomes[params.baseline][name].items)
        counts = resample_counts(items, params.resamples, seed_of(0, "bootstrap", name))
        for run, found in outcomes.items():
            values[run][name] = metric(name, found[name], np.ones((1, items)))
            samples[run][name] = metric(name, found[name], counts)
    for table in (values, samples):
        for row in table.values():
            row[MEAN] = np.mean([row[name] for name in BENCHMARKS], axis=0)
    return {run: _entries(run, values, samples, params) for run in outcomes}


def metric(benchmark: str, outcome: Outcome, counts: Floats) -> Floats:
    """A benchmark's metric on 0-100 in each sample; counts (samples, items), returns (samples,)."""
    if benchmark == ALPACA:
        return length_controlled(outcome.value / 100.0, outcome.difference, counts)
    return resampled_mean(outcome.value, counts)


def _entries(
    run: str,
    values: Mapping[str, Mapping[str, Floats]],
    samples: Mapping[str, Mapping[str, Floats]],
    params: CompareParams,
) -> dict[str, Entry]:
    entries = {}
    for name in METRICS:
        deltas = samples[run][name] - samples[params.baseline][name]
        low, high = interval(deltas, params.confidence)
        value = float(values[run][name][0])
        delta = value - float(values[params.baseline][name][0])
        entries[name] = {"value": value, "delta": delta, "low": low, "high": high}
    return entries


def _require_fresh(path: Path, entries: Mapping[str, Entry]) -> None:
    """Raise MontessoriError when a metric file tells other values than the outcomes."""
    metrics = read_json(path)
    for name in METRICS:
        told = float(metrics.get(name, float("nan")))
        told = float(mt_bench.percent(told)) if name == MT_BENCH else told
        if not abs(told - entries[name]["value"]) <= TOLERANCE:
            raise MontessoriError(
                f"{name} is {told:.4f} here and {entries[name]['value']:.4f} by the outcomes",
                where=str(path),
                expected="metrics and outcomes of one evaluation",
                next=f"dvc repro eval@{path.stem}",
            )
