"""The report on demand, with sample rows and answers."""

from __future__ import annotations

from pathlib import Path

from montessori.artifacts import read_json
from montessori.params import load

from .build import build


def command(out: Path = Path(".work/report"), root: Path = Path(".")) -> None:
    """Write the report from what is there, with samples of the data on this machine.

    `out` is a folder beside DVC's own `report/`, which holds no samples.

    Raises:
        MontessoriError: no params.yaml, or no comparison yet.
    """
    root = Path(root)
    runs = list(load(root / "params.yaml")["runs"])
    comparison = read_json(root / "metrics" / "compare.json")
    build(root / out, comparison, runs, root / "metrics", root / "data")
