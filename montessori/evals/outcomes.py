"""Outcomes of single items: the unit of every interval and test between runs.

The eval stage writes metrics/outcomes/<run>.csv, the stages of public benchmarks and exams write
files of the same form beside it. Columns: item_id, benchmark, value (0-100, or the loss of a
held-out row in nats; empty where the item has none, such as one without a usable verdict),
length_difference (characters of the answer minus those of the answer it is compared with; empty for
answers that are compared with none).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from montessori.artifacts.atomic import write_text
from montessori.errors import MontessoriError
from montessori.evals.items import ORDER

SCHEMA = {
    "item_id": pl.String,
    "benchmark": pl.String,
    "value": pl.Float64,
    "length_difference": pl.Float64,
}
COLUMNS = tuple(SCHEMA)


@dataclass(frozen=True)
class Outcome:
    """A run on one benchmark: items sorted by id, value (items,) on 0-100, difference (items,).

    value: NaN where the item has none. Losses of held-out rows are in nats. difference: the column
    length_difference in characters, 0 where it is empty.
    """

    items: tuple[str, ...]
    value: NDArray[np.float64]
    difference: NDArray[np.float64]


def write_outcomes(path: Path, frame: pl.DataFrame) -> None:
    """Write outcomes (columns COLUMNS) as CSV, atomically, sorted by benchmark and item.

    Benchmarks are in the order of tables, those that it does not name behind the others.
    """
    rank = {name: number for number, name in enumerate(ORDER)}
    order = frame["benchmark"].replace_strict(rank, default=len(ORDER), return_dtype=pl.Int64)
    frame = frame.select(COLUMNS).with_columns(order.alias("order"))
    frame = frame.sort("order", "benchmark", "item_id").drop("order")
    write_text(path, frame.write_csv(float_precision=4))


def read_outcomes(path: Path, stage: str) -> dict[str, Outcome]:
    """Read outcomes by benchmark from the file that `stage` wrote.

    Raises MontessoriError when the file is missing, malformed or empty, a value is infinite, or an
    item occurs twice in a benchmark.
    """
    try:
        frame = pl.read_csv(path, schema=SCHEMA).sort("item_id")
    except FileNotFoundError as error:
        raise _outcome_error("outcomes are missing", path, stage) from error
    except pl.exceptions.PolarsError as error:
        raise _outcome_error(f"not a table of outcomes ({error})", path, stage) from error
    if frame.is_empty():
        raise _outcome_error("there are no outcomes", path, stage)
    if frame["value"].is_infinite().any() or frame["item_id"].null_count():
        raise _outcome_error("an outcome has no item or an infinite value", path, stage)
    if frame.select("benchmark", "item_id").is_duplicated().any():
        raise _outcome_error("an item occurs twice in one benchmark", path, stage)
    outcomes = {}
    for (name,), part in frame.group_by("benchmark", maintain_order=True):
        # NaN survives arithmetic, so an item without a verdict cannot pass for one with value 0.
        value = part["value"].fill_null(float("nan")).to_numpy()
        difference = part["length_difference"].fill_null(0.0).to_numpy()
        outcomes[str(name)] = Outcome(tuple(part["item_id"]), value, difference)
    return outcomes


def require_same_items(outcomes: Sequence[tuple[str, Outcome]], benchmark: str) -> None:
    """Raise MontessoriError, naming items, unless all runs have the same items of a benchmark.

    outcomes: pairs of a run's name and its outcomes of the benchmark.
    """
    all_items = set().union(*(outcome.items for _, outcome in outcomes))
    for run, outcome in outcomes:
        missing = sorted(all_items.difference(outcome.items))
        if missing:
            named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise MontessoriError(
                f"{benchmark}: run {run} lacks {len(missing)} of {len(all_items)} items ({named})",
                where=f"metrics/outcomes/{run}.csv",
                expected="the same items in every run, since intervals are paired",
                next="dvc repro compare",
            )


def _outcome_error(what: str, path: Path, stage: str) -> MontessoriError:
    return MontessoriError(
        what,
        where=str(path),
        expected=f"a CSV with {', '.join(COLUMNS)}",
        next=f"dvc repro {stage}",
    )
