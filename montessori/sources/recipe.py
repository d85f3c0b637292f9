"""A source named in params: rows in a file, or a .json recipe that says how to make them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from montessori.artifacts import read_json
from montessori.errors import MontessoriError
from montessori.params import problems_error, read_section
from montessori.sources.rows import Row, read_rows

T = TypeVar("T")


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
        if not pinned(self.revision):
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


def pinned(revision: str) -> bool:
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


def load_rows(path: Path) -> list[Row]:
    """The rows of a source: a file of rows (.jsonl, or .json with a list), or a recipe (.json).

    Raises MontessoriError for whatever is malformed. Only a hub recipe uses the network.
    """
    path = Path(path)
    if path.suffix != ".json":
        return read_rows(path)
    raw = read_json(path)
    if isinstance(raw, list):
        return read_rows(path)
    if _kind(raw) == "hub":
        from montessori.sources.hub import hub_rows

        return hub_rows(_typed(raw, HubRecipe, path), str(path))
    if _kind(raw) == "lab":
        from montessori.sources.lab import lab_rows

        return lab_rows(_typed(raw, LabRecipe, path), str(path))
    raise _unknown(path, raw, "lab, hub")


def load_evals_recipe(path: Path) -> EvalsRecipe:
    """The recipe of the eval sets. Raises MontessoriError if it is none."""
    raw = read_json(Path(path))
    if _kind(raw) != "lab-evals":
        raise _unknown(path, raw, "lab-evals")
    return _typed(raw, EvalsRecipe, Path(path))


def _kind(raw: Any) -> Any:
    return raw.get("kind") if isinstance(raw, Mapping) else None


def _typed(raw: Any, cls: type[T], path: Path) -> T:
    recipe, problems = read_section({"recipe": raw}, "recipe", cls)
    if recipe is None:
        raise problems_error([text.removeprefix("recipe.") for text in problems], str(path))
    return recipe


def _unknown(path: Path, raw: Any, known: str) -> MontessoriError:
    return MontessoriError(
        f"unknown kind of recipe: {_kind(raw)!r}",
        where=str(path),
        expected=f'a JSON object with "kind" one of {known}',
        next=f"fix {path}, then dvc repro",
    )
