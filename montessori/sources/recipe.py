"""Recipes: .json files that say how the rows or eval items of a source are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LabRecipe:
    """Rows drawn from the lab's families: `rows` of them, shared out by `weights`."""

    kind: Literal["lab"]
    bucket: Literal["train", "reference", "dev", "test"]
    rows: int
    weights: dict[str, float]
    seed: int = 0

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _rows_problem("rows", self.rows) + weight_problems("weights", self.weights)


@dataclass(frozen=True)
class EvalsRecipe:
    """Eval items of the lab, for both splits: `items` and family `weights` per benchmark."""

    kind: Literal["lab-evals"]
    items: dict[str, int]
    weights: dict[str, dict[str, float]]
    seed: int = 0

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = []
        if set(self.items) != set(self.weights):
            problems.append("weights: items and weights do not name the same benchmarks")
        for name, count in self.items.items():
            problems += _rows_problem(f"items.{name}", count)
        for name, weights in self.weights.items():
            problems += weight_problems(f"weights.{name}", weights)
        return problems


@dataclass(frozen=True)
class HubRecipe:
    """Rows of a hub data set at a pinned revision; `columns` maps our names to its names."""

    kind: Literal["hub"]
    dataset: str
    revision: str
    columns: dict[str, str]
    split: str = "train"
    config: str | None = None
    rows: int | None = None  # the first so many; null = all

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = []
        if not is_pinned(self.revision):
            problems.append(f"revision: {self.revision!r} is not a commit of 40 hex digits")
        names = {"instruction", "input", "response", "messages", "skill", "prompt", "raw"}
        problems += [
            f"columns.{name}: unknown (known: {', '.join(sorted(names))})"
            for name in self.columns
            if name not in names
        ]
        if not ("messages" in self.columns or {"instruction", "response"} <= set(self.columns)):
            problems.append("columns: name instruction and response, or messages")
        return problems + ([] if self.rows is None else _rows_problem("rows", self.rows))


def is_pinned(revision: str) -> bool:
    """Whether a revision is a full commit, which cannot move (40 hexadecimal digits)."""
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


def weight_problems(key: str, weights: Mapping[str, float]) -> list[str]:
    """What is wrong with a mapping of families to weights."""
    problems = [
        f"{key}.{name}: weight {weight} is below 0"
        for name, weight in weights.items()
        if weight < 0
    ]
    if not any(weight > 0 for weight in weights.values()):
        problems.append(f"{key}: no weight is above 0")
    return problems


def _rows_problem(key: str, rows: int) -> list[str]:
    return [] if rows > 0 else [f"{key}: {rows} is not above 0"]
