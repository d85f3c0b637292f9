"""The outcomes that a comparison is made of: every benchmark of every run, paired by item.

A run has the outcomes of its own eval stage, and those of each `harnesses` and `exams` row that
evaluates the same model.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montessori.errors import MontessoriError
from montessori.evals.items import EXAM, HARNESS, ORDER, is_loss
from montessori.evals.outcomes import Outcome, read_outcomes, require_same_items
from montessori.graph.rows import Exam, Harness, Run

#: Name of the mean over the benchmarks that all runs have, a metric like the others.
MEAN = "mean"

Outcomes = Mapping[str, Outcome]  # by benchmark


@dataclass(frozen=True)
class RunOutcomes:
    """Outcomes by run and benchmark.

    own: benchmarks of the eval stage, in contrast to those of `harnesses` and `exams` rows.
    dropped: items of each benchmark on which no run is compared, because one has no value there.
    """

    runs: Mapping[str, Outcomes]
    own: frozenset[str]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def benchmarks(self) -> list[str]:
        """All benchmarks of any run, in the order of tables."""
        return order_metrics(set().union(*self.runs.values()))

    def runs_with(self, benchmark: str) -> list[str]:
        """The runs that have outcomes of a benchmark, in order."""
        return [run for run, outcomes in self.runs.items() if benchmark in outcomes]

    def runs_without(self, benchmark: str) -> list[str]:
        """The runs that have no outcomes of a benchmark, in order."""
        return [run for run, outcomes in self.runs.items() if benchmark not in outcomes]

    @property
    def in_mean(self) -> list[str]:
        """The benchmarks of the eval stage that all runs have, on 0-100.

        The loss on held-out rows is in nats. Metrics of lm-eval are not in the mean: one task has
        several, and not all lie on 0-100. Neither are exams, because only some runs' datasets are
        about what they ask.
        """
        everywhere = [name for name in self.benchmarks if not self.runs_without(name)]
        return [name for name in everywhere if name in self.own and not is_loss(name)]


def order_metrics(names: Iterable[str]) -> list[str]:
    """Each metric once, in the order of tables: those of ORDER, others by name, then the mean."""
    rank = {name: number for number, name in enumerate(ORDER)} | {MEAN: len(ORDER) + 1}
    return sorted(set(names), key=lambda name: (rank.get(name, len(ORDER)), name))


def read_run_outcomes(
    runs: Mapping[str, Run],
    harnesses: Mapping[str, Harness],
    exams: Mapping[str, Exam],
    folder: Path,
) -> RunOutcomes:
    """Read each run's own outcomes, and add those of every row that evaluates the same model.

    folder: has <run>.csv, harness/<row>.csv and exam/<row>.csv. An item without a value in one run
    is dropped from all runs; a benchmark without any value in a run counts as missing there.
    Raises MontessoriError when a file is missing or malformed, no benchmark is in all runs, or two
    runs have different items of a benchmark.
    """
    outcomes = {}
    for run in runs:
        outcomes[run] = read_outcomes(Path(folder) / f"{run}.csv", f"eval@{run}")
    own: frozenset[str] = frozenset().union(*outcomes.values())  # before others are added
    _add_shared(outcomes, runs, harnesses, exams, Path(folder))
    return _require_comparable(RunOutcomes(outcomes, own))


def _add_shared(
    outcomes: dict[str, dict[str, Outcome]],
    runs: Mapping[str, Run],
    harnesses: Mapping[str, Harness],
    exams: Mapping[str, Exam],
    folder: Path,
) -> None:
    """Add the outcomes of `harnesses` and `exams` rows to every run of the same model.

    A row whose model is no run's is ignored and may have no file yet.
    """
    rows = [(HARNESS, name, row.model, row.shots) for name, row in harnesses.items()]
    rows += [(EXAM, name, row.model, -1) for name, row in exams.items()]
    for kind, name, model, shots in rows:
        same_model = [run for run, row in runs.items() if row.model == model]
        if same_model:
            shared = read_outcomes(folder / kind / f"{name}.csv", f"{kind}@{name}")
            renamed = {name_with_shots(key, shots): value for key, value in shared.items()}
            for run in same_model:
                outcomes[run] |= renamed


def _require_comparable(outcomes: RunOutcomes) -> RunOutcomes:
    """The outcomes with paired items only. Raises MontessoriError when nothing can be compared."""
    for name in outcomes.benchmarks:
        of_runs = [(run, outcomes.runs[run][name]) for run in outcomes.runs_with(name)]
        require_same_items(of_runs, name)
    paired = drop_unpaired_items(outcomes)
    if not paired.in_mean:
        raise _nothing_in_common(paired)
    return paired


def drop_unpaired_items(outcomes: RunOutcomes) -> RunOutcomes:
    """Drop the items that lack a value in some run that has the benchmark.

    A benchmark without any value in a run is dropped from that run first, so that it costs the
    other runs no items.
    """
    runs: dict[str, dict[str, Outcome]] = {run: {} for run in outcomes.runs}
    for run, by_benchmark in outcomes.runs.items():
        for name, outcome in by_benchmark.items():
            if np.isfinite(outcome.value).any():
                runs[run][name] = outcome
    dropped = {}
    for name in outcomes.benchmarks:
        having = [run for run in runs if name in runs[run]]
        if not having:
            continue
        kept = np.all([np.isfinite(runs[run][name].value) for run in having], axis=0)
        dropped[name] = int(kept.size - kept.sum())
        if dropped[name] == 0:
            continue
        for run in having:
            if kept.any():  # otherwise no item is shared, as if the run had not been asked
                runs[run][name] = _select_items(runs[run][name], kept)
            else:
                del runs[run][name]
    return replace(outcomes, runs=runs, dropped=dropped)


def drop_losses(outcomes: RunOutcomes, runs: Sequence[str]) -> RunOutcomes:
    """The outcomes without the losses on held-out rows of some runs.

    A loss per token does not compare with that of a run which divides texts into other tokens.
    """
    kept = dict(outcomes.runs)
    for run in runs:
        kept[run] = {name: found for name, found in kept[run].items() if not is_loss(name)}
    return replace(outcomes, runs=kept)


def _select_items(outcome: Outcome, kept: NDArray[np.bool_]) -> Outcome:
    items = tuple(itertools.compress(outcome.items, kept))
    return Outcome(items, outcome.value[kept], outcome.difference[kept])


def name_with_shots(benchmark: str, shots: int) -> str:
    """A benchmark's name with its number of examples, so that two numbers are two benchmarks.

    shots: -1 where the benchmark has no such number, or takes its own.
    """
    return benchmark if shots < 0 else f"{benchmark} {shots}-shot"


def _nothing_in_common(outcomes: RunOutcomes) -> MontessoriError:
    having = [f"{run}: {', '.join(order_metrics(names))}" for run, names in outcomes.runs.items()]
    return MontessoriError(
        "no benchmark was answered by all runs",
        where="; ".join(having),
        expected="at least one that all runs have, for their mean",
        next="dvc repro compare, or take a run out of params.yaml: runs",
    )
