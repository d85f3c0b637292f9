"""What AlpacaEval publishes for its length control: weights, instruction difficulty, gamed answers.

The files have licences of their own, so none ships here: they are named by option, or found above
the annotations in the layout of AlpacaEval's repository.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from montessori.errors import MontessoriError
from montessori.scores.annotations import Comparison, read_outputs
from montessori.scores.length_control import Floats, Gamed, Weights

ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"  # the judge whose weights are published
LEVELS = 5  # folders above the annotations that are looked through
LAYOUT = {
    "weights": (
        "lc_glm_weights_baseline_{reference}.csv",
        "weights/{annotator}/length_controlled_v1/baseline_{reference}.csv",
        "src/alpaca_eval/metrics/weights/{annotator}/length_controlled_v1/baseline_{reference}.csv",
    ),
    "difficulty": ("instruction_difficulty.csv", "derived/instruction_difficulty_recovered.csv"),
    "gamed": ("df_gamed.csv",),
    "reference_outputs": ("{reference}/model_outputs.json",),
}
COLUMNS = {  # of the published CSV files: ours to theirs
    "length": "np.tanh(std_delta_len)",
    "difficulty": "instruction_difficulty",
    "constant": "not_gamed_baseline.astype(float)",
}


@dataclass(frozen=True)
class Files:
    """Paths of what is published; None for what there is not."""

    weights: Path | None = None
    difficulty: Path | None = None
    gamed: Path | None = None
    reference_outputs: Path | None = None


def find(files: Files, annotations: Path, comparison: Comparison) -> Files:
    """`files`, with what is missing looked for above `annotations`.

    Only for verdicts of the published judge: nobody else's have published weights.
    """
    names = {"annotator": comparison.annotator, "reference": comparison.reference}
    if comparison.annotator != ANNOTATOR or not re.fullmatch(r"[\w.-]+", comparison.reference):
        return files
    folders = list(Path(annotations).resolve().parents)[:LEVELS]
    found = {
        kind: next(_existing(folders, [form.format(**names) for form in forms]), None)
        for kind, forms in LAYOUT.items()
        if getattr(files, kind) is None
    }
    return replace(files, **found)


def named(files: Files) -> dict[str, str]:
    """The files of a published comparison that exist, by what they hold."""
    return {kind: str(path) for kind, path in vars(files).items() if path is not None}


def _existing(folders: list[Path], names: list[str]) -> Iterator[Path]:
    return (folder / name for folder in folders for name in names if (folder / name).is_file())


def read_weights(path: Path, model: str) -> Weights | None:
    """The published coefficients of `model`, the last where it has several; None where it has none.

    Raises MontessoriError: no such file, not such a table.
    """
    table = _read(path, tuple(COLUMNS.values()))
    rows = table.filter(pl.col(table.columns[0]).cast(pl.String) == model)
    if rows.is_empty():
        return None
    return Weights(**{name: float(rows[column][-1]) for name, column in COLUMNS.items()})


def read_difficulty(path: Path) -> Floats:
    """Instruction difficulty, (instructions,), in the order of the reference outputs.

    From a table of difficulties or from that of gamed answers, which has each several times.
    Raises MontessoriError: no such file, not such a table, instructions that are left out.
    """
    table = _read(path, ("instruction_difficulty",))
    index = "index" if "index" in table.columns else table.columns[0]
    table = table.unique(index, keep="first").sort(index)
    if table[index].to_list() != list(range(len(table))):
        raise MontessoriError(
            f"the column {index!r} does not count the instructions from 0",
            where=str(path),
            expected="one difficulty for each instruction of the reference outputs",
            next="give the file that AlpacaEval publishes",
        )
    return table["instruction_difficulty"].cast(pl.Float64).to_numpy()


def read_gamed(path: Path) -> Gamed:
    """The table of gamed answers. Raises MontessoriError: no such file, not such a table."""
    columns = ("preference", "std_delta_len", "instruction_difficulty")
    table = _read(path, columns, gaps=("preference",))
    return Gamed(*(table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in columns))


def difficulty_of(comparison: Comparison, files: Files) -> Floats | None:
    """The difficulty of each row's instruction, (rows,).

    By the reference outputs, whose order is that of the difficulties; without them by position,
    which needs as many rows as difficulties. None where the rows cannot be identified that way, or
    without a file that holds difficulties. Raises MontessoriError: an unreadable file.
    """
    path = files.difficulty or files.gamed
    if path is None:
        return None
    known = read_difficulty(path)
    if files.reference_outputs is None:
        return known if len(known) == len(comparison.instructions) else None
    order = {text: number for number, text in enumerate(read_outputs(files.reference_outputs))}
    places = [order.get(text, len(known)) for text in comparison.instructions]
    return known[places] if max(places) < len(known) else None


def _read(path: Path, columns: tuple[str, ...], gaps: tuple[str, ...] = ()) -> pl.DataFrame:
    """A CSV file whose first column is the index and that has `columns`, all of them numbers.

    gaps: the columns in which a number may be missing. Raises MontessoriError otherwise.
    """
    try:
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
    column = table[name].drop_nulls() if gaps else table[name]
    return bool(column.cast(pl.Float64).is_finite().fill_null(False).all())
