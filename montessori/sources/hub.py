"""Rows of a hub data set at a pinned revision; the only source that uses the network."""

from typing import Any

from montessori.artifacts.records.read import Records
from montessori.errors import MontessoriError
from montessori.sources.recipe import HubRecipe
from montessori.sources.rows.read import RowsRead, rows_of


def hub_rows(recipe: HubRecipe, where: str) -> RowsRead:
    """The rows of the data set, in its order.

    Raises MontessoriError if it cannot be loaded, has no such column, or a row is malformed.
    """
    table = _load_hub_dataset(recipe, where)
    missing = [name for name in recipe.columns.values() if name not in table.column_names]
    if missing:
        raise MontessoriError(
            f"the data set {recipe.dataset} has no column {', '.join(missing)}",
            where=where,
            expected=f"columns among {', '.join(table.column_names)}",
            next=f"fix {where}",
        )
    if recipe.rows is not None:
        table = table.select(range(min(recipe.rows, len(table))))
    objects = [{ours: row[theirs] for ours, theirs in recipe.columns.items()} for row in table]
    records = Records("row", range(1, len(objects) + 1), objects)
    return rows_of(records, f"{recipe.dataset}@{recipe.revision[:12]}")


def _load_hub_dataset(recipe: HubRecipe, where: str) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        return load_dataset(
            recipe.dataset, recipe.config, split=recipe.split, revision=recipe.revision
        )
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MontessoriError(
            f"the data set {recipe.dataset} cannot be loaded: {reason}",
            where=where,
            expected="a data set, revision and split that exist, and a network",
            next="try again with a network, or name a .jsonl file in params.yaml under sources",
        ) from error
