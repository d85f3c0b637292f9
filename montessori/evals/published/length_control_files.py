"""Files of AlpacaEval's length control: weights of models, instruction difficulty, gamed answers.

The files have licences of their own, so none ships here. They are named by option, or found in a
folder above the annotations that has the layout of AlpacaEval's repository.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from montessori.evals.published.annotations import Comparison, read_outputs
from montessori.evals.published.length_control import Floats, Gamed, Weights
from montessori.sources.alpaca_tables import (
    GAMED,
    read_difficulty,
    read_gamed_table,
    read_numbers,
)

ANNOTATOR = "weighted_alpaca_eval_gpt4_turbo"  # the judge whose weights are published
LEVELS = 5  # folders above the annotations that are searched
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
COLUMNS = {  # fields of Weights and the columns of the published CSV files
    "length": "np.tanh(std_delta_len)",
    "difficulty": "instruction_difficulty",
    "constant": "not_gamed_baseline.astype(float)",
}


@dataclass(frozen=True)
class LengthControlFiles:
    """Paths of published files; None for a file that is not there."""

    weights: Path | None = None
    difficulty: Path | None = None
    gamed: Path | None = None
    reference_outputs: Path | None = None


def find_files(
    files: LengthControlFiles, annotations: Path, comparison: Comparison
) -> LengthControlFiles:
    """Search for the files that `files` does not name in the folders above `annotations`.

    Only for verdicts of the judge ANNOTATOR, because no other judge has published weights.
    """
    names = {"annotator": comparison.annotator, "reference": comparison.reference}
    # The reference becomes part of a path and is named by a file of any origin.
    if comparison.annotator != ANNOTATOR or not re.fullmatch(r"[\w.-]+", comparison.reference):
        return files
    folders = list(Path(annotations).resolve().parents)[:LEVELS]
    paths = {}
    for kind, forms in LAYOUT.items():
        if getattr(files, kind) is None:
            paths[kind] = _first_existing(folders, [form.format(**names) for form in forms])
    return replace(files, **paths)


def paths_by_kind(files: LengthControlFiles) -> dict[str, str]:
    """The paths that `files` has, by what they hold."""
    return {kind: str(path) for kind, path in vars(files).items() if path is not None}


def _first_existing(folders: list[Path], names: list[str]) -> Path | None:
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None


def read_weights(path: Path, model: str) -> Weights | None:
    """Read the published coefficients of `model`: the last if it has several, None without any.

    Raises MontessoriError: no such file, not such a table.
    """
    table = read_numbers(path, tuple(COLUMNS.values()))
    rows = table.filter(pl.col(table.columns[0]).cast(pl.String) == model)
    if rows.is_empty():
        return None
    return Weights(**{name: float(rows[column][-1]) for name, column in COLUMNS.items()})


def read_gamed(path: Path) -> Gamed:
    """Read the table of gamed answers. Raises MontessoriError: no such file, not such a table."""
    table = read_gamed_table(path).fill_null(np.nan)
    return Gamed(*(table[name].to_numpy() for name in GAMED))


def difficulty_of(comparison: Comparison, files: LengthControlFiles) -> Floats | None:
    """The difficulty of each row's instruction, (rows,).

    The reference outputs identify the rows, because their order is that of the difficulties.
    Without them the position does, if there are as many rows as difficulties. None where rows
    cannot be identified, or without a file that has difficulties. Raises MontessoriError: an
    unreadable file.
    """
    path = files.difficulty or files.gamed
    if path is None:
        return None
    known = read_difficulty(path)
    if files.reference_outputs is None:
        return known if len(known) == len(comparison.instructions) else None
    order = {text: number for number, text in enumerate(read_outputs(files.reference_outputs))}
    positions = [order.get(text, len(known)) for text in comparison.instructions]
    return known[positions] if max(positions) < len(known) else None
