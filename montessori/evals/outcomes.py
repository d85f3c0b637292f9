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
    order = frame["benchmark"].cast(pl_enum()).rename("order")
    frame = frame.select(COLUMNS).with_columns(order).sort("order", "item_id").drop("order")
    write_text(path, frame.write_csv(float_precision=4))


def pl_enum() -> "pl.Enum":
    """The benchmarks as a polars type that sorts in the order of tables."""
    import polars as pl

    return pl.Enum(ORDER)


def read_outcomes(path: Path) -> dict[str, Outcome]:
    """Outcomes by benchmark, in the order of ORDER, of those that the run was asked.

    Raises MontessoriError when the file is missing, malformed or empty.
    """
    import polars as pl

    schema = {"item_id": pl.String, "benchmark": pl.String,
              "value": pl.Float64, "length_difference": pl.Float64}  # fmt: skip
    try:
        frame = pl.read_csv(path, schema=schema).sort("item_id")
    except FileNotFoundError as error:
        raise _error("the outcomes of a run are missing", path) from error
    except pl.exceptions.PolarsError as error:
        raise _error(f"no table of outcomes ({error})", path) from error
    asked = set(frame["benchmark"])
    unknown = sorted(asked.difference(ORDER))
    if unknown or not asked:
        raise _error(f"outcomes of {', '.join(unknown) or 'no benchmark'}", path)
    parts = {name: frame.filter(pl.col("benchmark") == name) for name in ORDER if name in asked}
    return {name: _outcome(part) for name, part in parts.items()}


def _outcome(frame: "pl.DataFrame") -> Outcome:
    return Outcome(
        tuple(frame["item_id"]),
        frame["value"].fill_null(float("nan")).to_numpy(),
        frame["length_difference"].fill_null(0.0).to_numpy(),
    )


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


def _error(what: str, path: Path) -> MontessoriError:
    return MontessoriError(
        what, where=str(path), expected=f"a CSV with {', '.join(COLUMNS)}", next="dvc repro eval"
    )
