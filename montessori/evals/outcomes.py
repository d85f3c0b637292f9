"""Per-item outcomes: metrics/outcomes/<run>.csv, the unit of the bootstrap.

Columns: item_id, benchmark, value (0-100; empty where no verdict on the item could be used),
length_difference (characters of the answer minus those of the answer it is compared with;
comparisons only).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from montessori.artifacts.files import write_text
from montessori.errors import MontessoriError
from montessori.evals.items import ORDER

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("item_id", "benchmark", "value", "length_difference")


@dataclass(frozen=True)
class Outcome:
    """A run on one benchmark: items sorted by id, value (items,) on 0-100, difference (items,).

    A value is NaN where no verdict on the item could be used.
    """

    items: tuple[str, ...]
    value: NDArray[np.float64]
    difference: NDArray[np.float64]


def write_outcomes(path: Path, frame: "pl.DataFrame") -> None:
    """Write outcomes as CSV, atomically, sorted by benchmark and item."""
    order = frame["benchmark"].cast(benchmark_enum()).rename("order")
    frame = frame.select(COLUMNS).with_columns(order).sort("order", "item_id").drop("order")
    write_text(path, frame.write_csv(float_precision=4))


def benchmark_enum() -> "pl.Enum":
    """The benchmarks as a polars type that sorts in the order of tables."""
    import polars as pl

    return pl.Enum(ORDER)


def require_same_items(outcomes: Sequence[tuple[str, Outcome]], benchmark: str) -> None:
    """Raise MontessoriError, naming items, unless all runs have the same items of a benchmark."""
    everything = set().union(*(outcome.items for _, outcome in outcomes))
    for run, outcome in outcomes:
        missing = sorted(everything.difference(outcome.items))
        if missing:
            named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise MontessoriError(
                f"{benchmark}: run {run} lacks {len(missing)} of {len(everything)} items ({named})",
                where=f"metrics/outcomes/{run}.csv",
                expected="the same items in every run, since intervals are paired",
                next="dvc repro compare",
            )
