"""What is compared: outcomes of every benchmark of every run, lm-eval's and exams included."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from montessori.errors import MontessoriError
from montessori.evals.items import EXAM, HARNESS
from montessori.evals.outcomes import COLUMNS, Outcome, require_same_items
from montessori.graph.rows import Exam, Harness, Run

#: Benchmarks of runs in the order of tables; those of exams and harnesses follow by name.
ORDER = ("micro_alpaca_eval", "micro_mt_bench", "micro_mmlu", "micro_gsm8k",
         "alpaca_eval", "alpaca_eval_public", "mt_bench")  # fmt: skip
#: Benchmarks whose metric is a length-controlled win rate; that of all others is a mean.
LENGTH_CONTROLLED = frozenset({"micro_alpaca_eval", "alpaca_eval", "alpaca_eval_public"})
#: Benchmarks scored from 1 to 10 in metrics/eval; outcomes are on 0-100.
ONE_TO_TEN = frozenset({"micro_mt_bench", "mt_bench"})
#: The mean over the benchmarks that all runs have, a metric like the others.
MEAN = "mean"

Outcomes = Mapping[str, Outcome]  # by benchmark


@dataclass(frozen=True)
class RunOutcomes:
    """Outcomes by run and benchmark, and which are of runs themselves, not of lm-eval or exams.

    left_out: items of a benchmark that no run is compared on, because some run has no value there.
    """

    runs: Mapping[str, Outcomes]
    own: frozenset[str]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def benchmarks(self) -> list[str]:
        """All benchmarks of any run, in the order of tables."""
        return order_metrics(name for found in self.runs.values() for name in found)

    def runs_with(self, benchmark: str) -> list[str]:
        """The runs that have outcomes of a benchmark, in order."""
        return [run for run, found in self.runs.items() if benchmark in found]

    def runs_without(self, benchmark: str) -> list[str]:
        """The runs that have none, in order."""
        return [run for run, found in self.runs.items() if benchmark not in found]

    @property
    def in_mean(self) -> list[str]:
        """Benchmarks of runs that all runs have. Metrics of lm-eval are not in the mean: there are
        several of one task, and what a task measures is not always on 0-100. Nor are exams, which
        ask for what only some runs' data are of."""
        everywhere = [name for name in self.benchmarks if not self.runs_without(name)]
        return [name for name in everywhere if name in self.own]


def order_metrics(names: Iterable[str]) -> list[str]:
    """Metrics in the order of tables, each once: those of ORDER, others by name, the mean."""
    place = {name: number for number, name in enumerate(ORDER)}
    last = {MEAN: len(ORDER) + 1}
    return sorted(set(names), key=lambda name: (last.get(name, place.get(name, len(ORDER))), name))


def read_run_outcomes(
    runs: Mapping[str, Run],
    harnesses: Mapping[str, Harness],
    exams: Mapping[str, Exam],
    folder: Path,
) -> RunOutcomes:
    """Read <folder>/<run>.csv of each run, and harness/<row>.csv and exam/<row>.csv there of the
    rows that have its model.

    Items without a value in one run are left out of all, since runs are paired by item; a
    benchmark without any value in a run is one that the run lacks. Raises MontessoriError when a
    file is missing or malformed, when no benchmark is in all runs, or when two runs differ in the
    items of a benchmark that both have.
    """
    own = {run: read(Path(folder) / f"{run}.csv", f"eval@{run}") for run in runs}
    found = {run: dict(outcomes) for run, outcomes in own.items()}
    rows = [(HARNESS, row, its.model, its.shots) for row, its in harnesses.items()]
    rows += [(EXAM, row, its.model, -1) for row, its in exams.items()]
    for kind, row, model, shots in rows:
        theirs = [run for run, its in runs.items() if its.model == model]
        if theirs:
            outcomes = read(Path(folder) / kind / f"{row}.csv", f"{kind}@{row}")
            for run in theirs:
                found[run] |= {name_with_shots(key, shots): one for key, one in outcomes.items()}
    result = RunOutcomes(found, frozenset(name for one in own.values() for name in one))
    for name in result.benchmarks:
        require_same_items([(run, found[run][name]) for run in result.runs_with(name)], name)
    result = drop_unpaired_items(result)
    if not result.in_mean:
        raise _no_common(result)
    return result


def drop_unpaired_items(found: RunOutcomes) -> RunOutcomes:
    """The same with the items that have a value in every run that has the benchmark."""
    runs = {run: {name: one for name, one in theirs.items() if np.isfinite(one.value).any()}
            for run, theirs in found.runs.items()}  # fmt: skip
    left_out = {}
    for name in found.benchmarks:
        having = [run for run in runs if name in runs[run]]
        if not having:
            continue
        kept = np.all([np.isfinite(runs[run][name].value) for run in having], axis=0)
        left_out[name] = int(kept.size - kept.sum())
        for run in having if left_out[name] else ():
            if kept.any():
                runs[run][name] = _select_items(runs[run][name], kept)
            else:
                del runs[run][name]
    return replace(found, runs=runs, left_out=left_out)


def _select_items(outcome: Outcome, kept: NDArray[np.bool_]) -> Outcome:
    items = tuple(item for item, keep in zip(outcome.items, kept, strict=True) if keep)
    return Outcome(items, outcome.value[kept], outcome.difference[kept])


def name_with_shots(benchmark: str, shots: int) -> str:
    """A benchmark of lm-eval under its examples, so that other numbers of them stay apart."""
    return benchmark if shots < 0 else f"{benchmark} {shots}-shot"


def read(path: Path, stage: str) -> dict[str, Outcome]:
    """Outcomes by benchmark from one file of `stage`, items in order of their ids.

    An empty value is NaN: an item on which no verdict could be used. Raises MontessoriError when
    the file is missing, malformed or empty, a value is infinite, or an item occurs twice.
    """
    schema = {"item_id": pl.String, "benchmark": pl.String,
              "value": pl.Float64, "length_difference": pl.Float64}  # fmt: skip
    try:
        frame = pl.read_csv(path, schema=schema).sort("item_id")
    except FileNotFoundError as error:
        raise _error("outcomes are missing", path, stage) from error
    except pl.exceptions.PolarsError as error:
        raise _error(f"no table of outcomes ({error})", path, stage) from error
    if frame.is_empty():
        raise _error("there are no outcomes", path, stage)
    if frame["value"].is_infinite().any() or frame["item_id"].null_count():
        raise _error("an outcome has no item or an infinite value", path, stage)
    if frame.select("benchmark", "item_id").is_duplicated().any():
        raise _error("an item occurs twice in one benchmark", path, stage)
    return {
        str(name): Outcome(
            tuple(part["item_id"]),
            part["value"].fill_null(float("nan")).to_numpy(),
            part["length_difference"].fill_null(0.0).to_numpy(),
        )
        for (name,), part in frame.group_by("benchmark", maintain_order=True)
    }


def _no_common(found: RunOutcomes) -> MontessoriError:
    has = "; ".join(f"{run}: {', '.join(order_metrics(one))}" for run, one in found.runs.items())
    return MontessoriError(
        "no benchmark was answered by all runs",
        where=has,
        expected="at least one that all runs have, for their mean",
        next="dvc repro compare, or leave a run out of params.yaml: runs",
    )


def _error(what: str, path: Path, stage: str) -> MontessoriError:
    return MontessoriError(
        what, where=str(path), expected=f"a CSV with {', '.join(COLUMNS)}",
        next=f"dvc repro {stage}",
    )  # fmt: skip
