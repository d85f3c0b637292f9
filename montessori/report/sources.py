"""Read what the report shows: metrics, plot data and sample rows, all of them optional.

An unreadable file is skipped with a warning, because a report without it is still useful.
"""

import csv
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)


def read_json_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the JSON mappings of a folder by file stem; {} for a missing folder."""
    mappings = {}
    for path in sorted(folder.glob("*.json")):
        value = _read_json(path)
        if isinstance(value, Mapping):
            mappings[path.stem] = dict(value)
    return mappings


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        LOG.warning("the report skips %s: %s", path, error)
        return None


def read_csv_files(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Read the rows of the CSV files of a folder by file stem; {} for a missing folder."""
    tables = {}
    for path in sorted(folder.glob("*.csv")):
        try:
            with path.open(encoding="utf-8", newline="") as handle:
                tables[path.stem] = list(csv.DictReader(handle))
        except (OSError, ValueError, csv.Error) as error:
            LOG.warning("the report skips %s: %s", path, error)
    return tables


def curve_points(rows: list[dict[str, str]], x: str, y: str) -> list[tuple[float, float]]:
    """Take two columns as points; rows without both numbers are dropped."""
    points = []
    for row in rows:
        a, b = parse_number(row.get(x)), parse_number(row.get(y))
        if a is not None and b is not None:
            points.append((a, b))
    return points


def parse_number(text: str | None) -> float | None:
    """Parse a number; None for a text that is not one."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def dataset_samples(folder: Path, rows: int) -> dict[str, list[dict[str, str]]]:
    """Read the first rows (instruction, response, skill) of each dataset below a folder."""
    return {
        path.parent.name: _first_rows(path, ("instruction", "response", "skill"), rows)
        for path in sorted(folder.glob("*/rows.parquet"))
    }


def answer_samples(folder: Path, rows: int) -> dict[str, list[dict[str, str]]]:
    """Read the first answers (item_id, turn, prompt, answer) of each run below a folder."""
    return {
        path.parent.name: _first_rows(path, ("item_id", "turn", "prompt", "answer"), rows)
        for path in sorted(folder.glob("*/answers.parquet"))
    }


def _first_rows(path: Path, columns: tuple[str, ...], rows: int) -> list[dict[str, str]]:
    import polars as pl

    try:
        frame = pl.read_parquet(path, n_rows=rows, columns=list(columns))
    except (pl.exceptions.PolarsError, OSError) as error:
        LOG.warning("the report skips %s: %s", path, error)
        return []
    return [
        {key: "" if v is None else str(v) for key, v in row.items()}
        for row in frame.iter_rows(named=True)
    ]
