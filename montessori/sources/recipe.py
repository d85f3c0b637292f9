"""Recipes: .json files that say how the rows or eval items of a source are made."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.graph.limits import AtMost, Commit, Count, FilledText, Rows, Weights
from montessori.models.hub_id import HubId
from montessori.sources.rows.settings import Column

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")  # it names files


@dataclass(frozen=True)
class LabRecipe:
    """Rows drawn from the lab's families: `rows` of them, shared out by `weights`."""

    kind: Literal["lab"]
    bucket: Literal["train", "reference", "dev", "test"]
    rows: Annotated[Rows, AtMost(10_000_000)]
    weights: Weights
    seed: int = 0


@dataclass(frozen=True)
class EvalsRecipe:
    """Eval items of the lab, for both splits: `items` and family `weights` per benchmark."""

    kind: Literal["lab-evals"]
    items: dict[str, Annotated[Count, AtMost(1_000_000), "items"]]
    weights: dict[str, Weights]
    seed: int = 0

    def check(self) -> list[str]:
        """Each benchmark has items and weights, and a name of which a file can be made."""
        problems = [
            f"items: {name!r} is not a name of letters, digits, '-', '_' and '.', 80 at most"
            for name in self.items
            if not _NAME.fullmatch(name)
        ]
        if not self.items:
            problems.append("items: it is empty, so nothing would be evaluated")
        if set(self.items) != set(self.weights):
            problems.append("weights: items and weights do not name the same benchmarks")
        return problems


@dataclass(frozen=True)
class HubRecipe:
    """Rows of a hub data set at a pinned revision; `columns` maps our names to its names.

    `rows` is the first so many; null stands for all.
    """

    kind: Literal["hub"]
    dataset: Annotated[str, HubId()]
    revision: Annotated[str, Commit()]
    columns: dict[Column, str]
    split: FilledText = "train"
    config: str | None = None
    rows: Rows | None = None

    def check(self) -> list[str]:
        """The columns make a dialogue."""
        if "messages" in self.columns or {"instruction", "response"} <= set(self.columns):
            return []
        return ["columns: name instruction and response, or messages"]
