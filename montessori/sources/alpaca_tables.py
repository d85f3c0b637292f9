"""Tables of numbers that AlpacaEval publishes, read from CSV."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from montessori.errors import MontessoriError

#: Columns of df_gamed.csv: preferences, differences in length over their deviation, difficulties.
GAMED = ("preference", "std_delta_len", "instruction_difficulty")


def read_difficulty(path: Path) -> NDArray[np.float64]:
    """Instruction difficulty, (instructions,), in the order of the reference outputs.

    From a table of difficulties or from that of gamed answers, which has each several times.
    Raises MontessoriError: a missing file, another kind of table, missing instructions.
    """
    table = read_numbers(path, ("instruction_difficulty",))
    index = "index" if "index" in table.columns else table.columns[0]
    # `unique` returns rows in no fixed order, hence the sort.
    table = table.unique(index, keep="first").sort(index)
    if table[index].to_list() != list(range(len(table))):
        raise MontessoriError(
            f"the column {index!r} does not count the instructions from 0",
            where=str(path),
            expected="one difficulty for each instruction of the reference outputs",
            next="give the file that AlpacaEval publishes",
        )
    return table["instruction_difficulty"].cast(pl.Float64).to_numpy()


def read_gamed_table(path: Path) -> pl.DataFrame:
    """AlpacaEval's table of gamed answers, its columns GAMED as f64; a preference may be null.

    Raises MontessoriError: a missing file, another kind of table.
    """
    table = read_numbers(path, GAMED, gaps=("preference",))
    return table.select(pl.col(GAMED).cast(pl.Float64))


def read_numbers(path: Path, columns: tuple[str, ...], gaps: tuple[str, ...] = ()) -> pl.DataFrame:
    """A CSV file whose first column is the index and that has `columns`, all of them numbers.

    gaps: the columns in which a number may be missing. Raises MontessoriError otherwise.
    """
    try:
        # By default polars guesses a column's type from its first 100 rows and fails on a later
        # float in a column of whole numbers; None makes it read them all.
        table = pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise MontessoriError(
            f"cannot be read as CSV ({str(error).splitlines()[0]})",
            where=str(path),
            expected=f"the columns {', '.join(columns)}",
            next="fix the path",
        ) from error
    wrong = [name for name in columns if not _is_numbers(table, name, name in gaps)]
    if wrong or table.is_empty():
        raise MontessoriError(
            f"no numbers, or not in every row: {', '.join(wrong or columns)}",
            where=str(path),
            expected=f"the columns {', '.join(columns)}",
            next="give the file that AlpacaEval publishes",
        )
    return table


def _is_numbers(table: pl.DataFrame, name: str, gaps: bool) -> bool:
    """Whether a column is there and holds a finite number in every row, or in some with `gaps`."""
    if name not in table.columns or not table.schema[name].is_numeric():
        return False
    # Without `fill_null`, `all` would ignore missing numbers instead of failing on them.
    column = table[name].drop_nulls() if gaps else table[name]
    return bool(column.cast(pl.Float64).is_finite().fill_null(False).all())
