"""What the report reads: git-tracked metrics and plot data, all of it optional."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)


def json_files(folder: Path) -> dict[str, dict[str, Any]]:
    """The JSON mappings in a folder by file name; {} where there is none, broken ones left out."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        value = _json(path)
        if isinstance(value, Mapping):
            found[path.stem] = dict(value)
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        LOG.warning("%s is left out of the report: %s", path, error)
        return None


def csv_files(folder: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of the CSV files in a folder by file name; {} where there is none."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        try:
            with path.open(encoding="utf-8", newline="") as handle:
                found[path.stem] = list(csv.DictReader(handle))
        except (OSError, ValueError, csv.Error) as error:
            LOG.warning("%s is left out of the report: %s", path, error)
    return found


def curve(rows: list[dict[str, str]], x: str, y: str) -> list[tuple[float, float]]:
    """Two columns as points; rows without both numbers are left out."""
    points = [(as_number(row.get(x)), as_number(row.get(y))) for row in rows]
    return [(a, b) for a, b in points if a is not None and b is not None]


def as_number(text: str | None) -> float | None:
    """A number, or None for text that is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def dataset_samples(folder: Path, rows: int) -> dict[str, list[dict[str, str]]]:
    """The first rows (instruction, response, skill) of each dataset below a folder."""
    return {
        path.parent.name: _head(path, ("instruction", "response", "skill"), rows)
        for path in sorted(folder.glob("*/rows.parquet"))
    }


def answer_samples(folder: Path, rows: int) -> dict[str, list[dict[str, str]]]:
    """The first answers (item_id, prompt, answer) of each run below a folder."""
    return {
        path.parent.name: _head(path, ("item_id", "turn", "prompt", "answer"), rows)
        for path in sorted(folder.glob("*/answers.parquet"))
    }


def _head(path: Path, columns: tuple[str, ...], rows: int) -> list[dict[str, str]]:
    import polars as pl

    try:
        frame = pl.read_parquet(path, n_rows=rows, columns=list(columns))
    except (pl.exceptions.PolarsError, OSError) as error:
        LOG.warning("%s is left out of the report: %s", path, error)
        return []
    return [
        {key: "" if v is None else str(v) for key, v in row.items()}
        for row in frame.iter_rows(named=True)
    ]
