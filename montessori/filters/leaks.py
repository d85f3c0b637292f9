"""Eval items among finished rows of any source: counted, not dropped."""

from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.filters.eval_items import is_eval_item, read_evals


def count_leaks(rows: Path, evals: Path, ngram: int) -> dict[str, Any]:
    """How many kept rows of a probe or dataset are eval items, by the rules of synth's filter.

    rows: folder with rows.parquet (`messages`, and `dropped` where rows may be). evals: folder
    with a folder of items for each split. Returns {"artifact": the folder's last two names, "rows":
    kept ones, "eval_items": rows that are or hold an item of any split, "splits": the same by
    split}. Raises MontessoriError when rows or items are missing.
    """
    splits = sorted(path for path in Path(evals).iterdir() if path.is_dir())
    if not splits:
        raise MontessoriError(
            "there are no eval items to look for",
            where=str(evals),
            expected="a folder for each split",
            next="dvc repro seed",
        )
    dialogues = _read_dialogues(Path(rows) / "rows.parquet")
    found = {split.name: _find_leaks(dialogues, split, ngram) for split in splits}
    return {
        "artifact": "/".join(Path(rows).parts[-2:]),
        "rows": len(dialogues),
        "eval_items": len(set[int]().union(*found.values())),
        "splits": {name: len(places) for name, places in found.items()},
    }


def _read_dialogues(path: Path) -> list[list[dict[str, str]]]:
    """The messages of the kept rows of a table."""
    messages = read_table(path, {"messages": PROBE["messages"]})["messages"]
    table = read_table(path, None)
    # A probe keeps its dropped rows with the reason; a dataset has no such column.
    kept = table["dropped"].is_null() if "dropped" in table.columns else messages.is_not_null()
    return messages.filter(kept).to_list()


def _find_leaks(dialogues: list[list[dict[str, str]]], evals: Path, ngram: int) -> set[int]:
    """Places of the dialogues that are or hold an item."""
    items, keys = read_evals(evals, ngram)
    return {
        place for place, messages in enumerate(dialogues) if is_eval_item(messages, items, keys)
    }
