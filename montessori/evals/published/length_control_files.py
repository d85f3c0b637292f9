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

from montessori.evals.published.annotations import Comparison, read_outputs
from montessori.evals.published.length_control import Floats, Gamed, Weights
from montessori.sources.alpaca_tables import read_difficulty, read_numbers

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
class LengthControlFiles:
    """Paths of what is published; None for what there is not."""

    weights: Path | None = None
    difficulty: Path | None = None
    gamed: Path | None = None
    reference_outputs: Path | None = None


def find_files(
    files: LengthControlFiles, annotations: Path, comparison: Comparison
) -> LengthControlFiles:
    """`files`, with what is missing looked for above `annotations`.

    Only for verdicts of the published judge: nobody else's have published weights.
    """
    names = {"annotator": comparison.annotator, "reference": comparison.reference}
    if comparison.annotator != ANNOTATOR or not re.fullmatch(r"[\w.-]+", comparison.reference):
        return files
    folders = list(Path(annotations).resolve().parents)[:LEVELS]
    found = {
        kind: next(_existing_files(folders, [form.format(**names) for form in forms]), None)
        for kind, forms in LAYOUT.items()
        if getattr(files, kind) is None
    }
    return replace(files, **found)


def paths_by_kind(files: LengthControlFiles) -> dict[str, str]:
    """The files of a published comparison that exist, by what they hold."""
    return {kind: str(path) for kind, path in vars(files).items() if path is not None}


def _existing_files(folders: list[Path], names: list[str]) -> Iterator[Path]:
    return (folder / name for folder in folders for name in names if (folder / name).is_file())


def read_weights(path: Path, model: str) -> Weights | None:
    """The published coefficients of `model`, the last where it has several; None where it has none.

    Raises MontessoriError: no such file, not such a table.
    """
    table = read_numbers(path, tuple(COLUMNS.values()))
    rows = table.filter(pl.col(table.columns[0]).cast(pl.String) == model)
    if rows.is_empty():
        return None
    return Weights(**{name: float(rows[column][-1]) for name, column in COLUMNS.items()})


def read_gamed(path: Path) -> Gamed:
    """The table of gamed answers. Raises MontessoriError: no such file, not such a table."""
    columns = ("preference", "std_delta_len", "instruction_difficulty")
    table = read_numbers(path, columns, gaps=("preference",))
    return Gamed(*(table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in columns))


def difficulty_of(comparison: Comparison, files: LengthControlFiles) -> Floats | None:
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
