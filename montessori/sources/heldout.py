"""Held-out rows of one's own: dialogues on which the loss of every run is measured."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.sources.load import load_rows
from montessori.sources.rows.read import RowsRead
from montessori.sources.rows.row import Row
from montessori.sources.rows.settings import ReadingParams

Item = dict[str, Any]
#: Split and benchmark of the held-out rows among the eval items: <evals>/heldout/heldout.jsonl.
HELDOUT = "heldout"


def load_heldout(
    source: Path | None, reading: ReadingParams | None = None
) -> tuple[list[Row], dict[str, Any]]:
    """The rows of `sources.heldout`, each once, with the number that repeat an earlier one.

    The facts hold that number as `repeated`, and what `read_rows` counts.

    No rows for None and for a recipe of kind `none`. Raises MontessoriError for a file without
    rows and for a malformed row, which includes one without a response.
    """
    rows, facts = RowsRead([], {}) if source is None else load_rows(source, True, reading)
    kept: dict[tuple[str | None, tuple[str, ...], tuple[str, ...]], Row] = {}
    for row in rows:
        kept.setdefault((row.system, row.turns, row.responses), row)
    return list(kept.values()), {"repeated": len(rows) - len(kept), **facts}


def heldout_items(rows: Sequence[Row]) -> list[Item]:
    """Rows in the form of eval items, numbered in their order."""
    return [_make_item(row, number) for number, row in enumerate(rows, 1)]


def _make_item(row: Row, number: int) -> Item:
    item: Item = {
        "item_id": f"{HELDOUT}-{number:04d}",
        "family": row.skill or HELDOUT,
        "skill": row.skill or "",
        "turns": list(row.turns),
        "answers": [""] * len(row.turns),  # no short answer is known, and none is needed
        "responses": list(row.responses),
    }
    known = {"key": row.key, "system": row.system}
    return item | {name: text for name, text in known.items() if text is not None}


def heldout_facts(rows: Sequence[Row], read: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of rows and of rows by skill, beside what `load_heldout` says."""
    skills = Counter(row.skill for row in rows if row.skill is not None)
    facts: dict[str, Any] = {"rows": len(rows), **read}
    return facts | ({"skills": dict(skills)} if skills else {})
