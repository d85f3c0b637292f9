"""Rows of a source named in params: read from a file, or made as a recipe says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from montessori.artifacts.files import read_json
from montessori.artifacts.records.content import read_content
from montessori.artifacts.records.json_values import parse_json
from montessori.errors import MontessoriError
from montessori.graph.load import join_problems, read_section
from montessori.sources.recipe import EvalsRecipe, HubRecipe, LabRecipe
from montessori.sources.rows.read import RowsRead, read_rows
from montessori.sources.rows.settings import ReadingParams

T = TypeVar("T")
#: The recipe of a set that has no rows.
NO_ROWS = {"kind": "none"}
LARGEST_RECIPE = 65_536  # bytes; a larger file is one of rows


def load_rows(path: Path, optional: bool = False, reading: ReadingParams | None = None) -> RowsRead:
    """The rows of a source: a file of rows in any form, or a recipe.

    An `optional` source may be a recipe of kind `none`, which has no rows. Raises MontessoriError
    for whatever is malformed. Only a hub recipe uses the network.
    """
    path = Path(path)
    raw = find_recipe(path)
    if raw is None:
        return read_rows(path, reading)
    if optional and raw == NO_ROWS:
        return RowsRead([], {})
    if _recipe_kind(raw) == "hub":
        # Imported only when a recipe asks for it: no other source needs the network.
        from montessori.sources.hub import hub_rows

        return hub_rows(_read_recipe(raw, HubRecipe, path), str(path))
    if _recipe_kind(raw) == "lab":
        # Imported only when a recipe asks for it: sources of one's own work without the lab's
        # folder.
        from montessori.sources.drawn import draw_rows

        return RowsRead(draw_rows(_read_recipe(raw, LabRecipe, path), str(path)), {})
    raise _unknown_kind_error(path, raw, "lab, hub, none" if optional else "lab, hub")


def find_recipe(path: Path) -> Mapping[str, Any] | None:
    """The recipe in a file: an object with a `kind`. None for any other file, one of rows.

    Raises MontessoriError for a file that cannot be read.
    """
    if path.is_file() and path.stat().st_size > LARGEST_RECIPE:
        return None
    raw = parse_json(read_content(path))
    return raw if isinstance(raw, Mapping) and isinstance(raw.get("kind"), str) else None


def load_evals_recipe(path: Path) -> EvalsRecipe:
    """The recipe of the eval sets. Raises MontessoriError if it is none."""
    raw = read_json(Path(path))
    if _recipe_kind(raw) != "lab-evals":
        raise _unknown_kind_error(path, raw, "lab-evals")
    return _read_recipe(raw, EvalsRecipe, Path(path))


def _recipe_kind(raw: Any) -> Any:
    return raw.get("kind") if isinstance(raw, Mapping) else None


def _read_recipe(raw: Any, cls: type[T], path: Path) -> T:
    recipe, problems = read_section({"recipe": raw}, "recipe", cls)
    if recipe is None:
        raise join_problems([text.removeprefix("recipe.") for text in problems], str(path))
    return recipe


def _unknown_kind_error(path: Path, raw: Any, known: str) -> MontessoriError:
    return MontessoriError(
        f"unknown kind of recipe: {_recipe_kind(raw)!r}",
        where=str(path),
        expected=f'a JSON object with "kind" one of {known}',
        next=f"fix {path}, then dvc repro",
    )
