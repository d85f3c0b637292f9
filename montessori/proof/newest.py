"""Of several records of the same run, student and seed: the newest, whose figures are shown.

Profiles share runs (every profile has the default rows), and may have been recorded by different
code. Pages take every figure from here, so that no two of them differ on the same run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json

Record = Mapping[str, Any]
Key = tuple[str, str, int]  # student, run, seed

UNDATED = ""  # `recorded` of a record from before there were dates; sorts before every date


def read_records(root: Path) -> list[Record]:
    """All records below metrics/proof, in the order of their paths."""
    return [read_json(path) for path in sorted((root / "metrics" / "proof").glob("*/*.json"))]


def choose_newest(records: Iterable[Record]) -> dict[Key, Record]:
    """For each student, run and seed the record with the latest date; the first of equals."""
    chosen: dict[Key, Record] = {}
    for record in records:
        for run in record["order"]:
            key = (record["student"], run, record["seed"])
            if key not in chosen or date_of(record) > date_of(chosen[key]):
                chosen[key] = record
    return chosen


def date_of(record: Record) -> str:
    """When the experiment was recorded, in UTC, such as 2026-11-22T10:10:23Z."""
    return str(record.get("recorded", UNDATED))
