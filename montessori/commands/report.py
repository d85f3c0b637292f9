"""The report on demand, with sample rows and answers."""

from __future__ import annotations

import os
from pathlib import Path

from montessori.compare.comparison_table import read_comparison
from montessori.graph.load import read_yaml
from montessori.report.build import build_report


def write_sample_report(out: Path = Path(".work/report"), root: Path = Path(".")) -> None:
    """Write `out`/index.html from what is there, with samples of the data on this machine.

    `out` is a folder beside DVC's own `report/`, which holds no samples; it links to the pages of
    answers that are there.

    Raises:
        MontessoriError: no params.yaml, or no comparison yet.
    """
    root = Path(root)
    runs = list(read_yaml(root / "params.yaml")["runs"])
    comparison = read_comparison(root / "metrics" / "compare.json", runs)
    page = root / out / "index.html"
    answers = {run: root / "report" / "outputs" / f"{run}.html" for run in runs}
    pages = {
        run: Path(os.path.relpath(path, page.parent)).as_posix()
        for run, path in answers.items()
        if path.is_file()
    }
    build_report(page, comparison, runs, root / "metrics", root / "data", pages)
