"""The inputs of influence: the probe rows to score, and the reference rows by skill."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import torch

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import ROWS
from montessori.errors import MontessoriError
from montessori.signals.scoring import split_unanswered
from montessori.train.loss import Row, count_changed_rows, tokenize_rows
from montessori.train.unseen import read_unseen_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from montessori.signals.influence.settings import InfluenceParams

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class References:
    """Reference rows and their groups: one per skill, whose weighted mean is the whole set.

    `names` are the skills. The group of rows without skill has no name and only counts in the
    whole. `groups` are lists of row indices. `unanswered` rows of the set are left out.
    """

    rows: list[Row]
    names: list[str | None]
    groups: list[list[int]]
    unanswered: int = 0

    @property
    def weights(self) -> torch.Tensor:
        """Share of the reference rows in each group, fp64, shape (groups,)."""
        sizes = torch.tensor([len(group) for group in self.groups], dtype=torch.float64)
        return sizes / sizes.sum()


@dataclass(frozen=True)
class Inputs:
    """The rows to score (table and tokens, in the same order), and the reference rows.

    `unanswered` rows get no score: nothing of their response is within the tokens that are read.
    """

    frame: pl.DataFrame
    rows: list[Row]
    references: References
    pad: int
    unanswered: int = 0

    @property
    def prompts(self) -> list[str]:
        """The prompt id of each row to score; rows of a prompt stand together."""
        return self.frame["prompt_id"].to_list()

    def count_left_out(self) -> dict[str, int]:
        """For metrics: rows that are left out or cut, as far as there are any."""
        counts = {
            "rows_without_response": self.unanswered,
            "references_without_response": self.references.unanswered,
        }
        return count_changed_rows(self.rows) | {key: n for key, n in counts.items() if n}

    def on_whole_reference(self) -> "Inputs":
        """The same with one group of all reference rows."""
        rows = self.references.rows
        return replace(self, references=References(rows, [None], [list(range(len(rows)))]))


def read_inputs(
    folders: Mapping[str, Path],
    tokenizer: "PreTrainedTokenizerFast",
    settings: "InfluenceParams",
) -> Inputs:
    """Read and tokenize the rows to score and the reference rows.

    `folders` are warmup, probe and reference. Rows without a response within `settings.max_length`
    tokens are left out and counted. Raises MontessoriError when nothing is left after warm-up, or
    no row to score or no reference row has a response.
    """
    frame = read_unseen_rows(folders["warmup"], folders["probe"])
    rows = tokenize_rows(tokenizer, frame["messages"].to_list(), settings.max_length)
    rows, frame, missing = split_unanswered(rows, frame, folders["probe"], "influence.max_length")
    references = _read_references(tokenizer, folders["reference"], settings)
    return Inputs(frame, rows, references, tokenizer.pad_token_id or 0, missing)


def _read_references(
    tokenizer: "PreTrainedTokenizerFast", reference: Path, settings: "InfluenceParams"
) -> References:
    """The first `settings.references` rows of the reference set, grouped by skill."""
    frame = read_table(reference / "rows.parquet", ROWS).head(settings.references)
    every = tokenize_rows(tokenizer, frame["messages"].to_list(), settings.max_length)
    rows: list[Row] = []
    groups: dict[str | None, list[int]] = defaultdict(list)
    for row, skill in zip(every, frame["skill"], strict=True):
        if row.targets:  # a row that is cut before its response has no loss
            groups[skill].append(len(rows))
            rows.append(row)
    if not rows:
        raise MontessoriError(
            f"none of the {frame.height} reference rows has a response to measure",
            where=str(reference / "rows.parquet"),
            expected="rows with assistant text within influence.max_length tokens",
            next="check the reference set in params.yaml, section sources",
        )
    missing = len(every) - len(rows)
    if missing:
        LOG.warning(
            "%d of %d reference rows have no response within influence.max_length tokens, and do "
            "not count",
            missing,
            len(every),
        )
    names = sorted(groups, key=lambda name: (name is None, name or ""))  # rows without skill last
    return References(rows, names, [groups[name] for name in names], missing)
