"""Measure how long reading 100,000 rows takes, beside polars: JSON Lines, CSV, Parquet.

Prints seconds of processor time, the least of three passes: of polars that reads the file as a
table, of polars that also hands the table over as Python objects, and of `read_rows`.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from montessori.sources.rows.read import read_rows

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "jsonl": pl.read_ndjson,
    "csv": pl.read_csv,
    "parquet": pl.read_parquet,
}


def main(count: int) -> None:
    """Write `count` rows of some 300 characters in each form and print the figures."""
    print(f"{count} rows; seconds: table, table and objects, rows; rows / table, rows / objects")
    with tempfile.TemporaryDirectory() as folder:
        for form, path in write_files(Path(folder), count).items():
            table, objects, rows = measure_form(READERS[form], path)
            ratios = f"{rows / table:.1f} {rows / objects:.1f}"
            print(f"{form:8} {table:.3f} {objects:.3f} {rows:.3f}  {ratios}", flush=True)


def measure_form(reader: Callable[[Path], pl.DataFrame], path: Path) -> tuple[float, ...]:
    """Seconds of polars for a table, of polars for objects, and of `read_rows`."""
    works = (lambda: reader(path), lambda: reader(path).to_dicts(), lambda: read_rows(path))
    return tuple(map(measure_least, works))


def write_files(folder: Path, count: int) -> dict[str, Path]:
    """The same rows in each form."""
    rng = random.Random(0)
    words = [f"word{number}" for number in range(2000)]
    rows = [
        {
            "instruction": " ".join(rng.choices(words, k=15)) + f" {number}?",
            "input": "",
            "output": " ".join(rng.choices(words, k=25)),
        }
        for number in range(count)
    ]
    paths = {form: folder / f"rows.{form}" for form in READERS}
    paths["jsonl"].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    frame = pl.DataFrame(rows)
    frame.write_csv(paths["csv"])
    frame.write_parquet(paths["parquet"])
    return paths


def measure_least(work: Callable[[], Any]) -> float:
    """The least processor time of three passes, in seconds, all threads together."""
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
