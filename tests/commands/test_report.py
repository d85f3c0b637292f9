"""`montessori report`: the report on demand, with samples of the data on this machine.

What would break: the command overwrites the report that DVC tracks, or shows text samples of other
rows.
"""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from montessori.cli import app
from montessori.errors import MontessoriError

METRIC = {"value": 50.0, "delta": 0.0, "low": 0.0, "high": 0.0}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one run, a comparison and one written row; the working directory."""
    (tmp_path / "params.yaml").write_text("runs:\n  base: {}\n")
    (tmp_path / "metrics").mkdir()
    comparison = {
        "over": "items",
        "baseline": "base",
        "confidence": 0.95,
        "resamples": 100,
        "comparisons": 0,
        "benchmarks": {},
        "runs": {"base": {"mean": METRIC}},
    }
    (tmp_path / "metrics" / "compare.json").write_text(json.dumps(comparison))
    rows = tmp_path / "data" / "datasets" / "base" / "rows.parquet"
    rows.parent.mkdir(parents=True)
    row = {"instruction": "What is 3 plus 4?", "response": "seven", "skill": "sums"}
    pl.DataFrame([row]).write_parquet(rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_report_has_samples_and_leaves_dvcs_own_alone(root: Path) -> None:
    done = CliRunner().invoke(app, ["report"], catch_exceptions=False)
    assert done.exit_code == 0
    page = root / ".work" / "report" / "index.html"
    assert done.output.strip() == f"Report: {page.resolve()}"
    assert "What is 3 plus 4?" in page.read_text()
    assert not (root / "report").exists()


def test_report_goes_where_it_is_told(root: Path) -> None:
    CliRunner().invoke(app, ["report", "--out", "some/where"], catch_exceptions=False)
    assert (root / "some" / "where" / "index.html").is_file()


def test_it_links_to_the_answers_that_are_there(root: Path) -> None:
    page = root / ".work" / "report" / "index.html"
    CliRunner().invoke(app, ["report"], catch_exceptions=False)
    assert "<a href=" not in page.read_text().partition("</nav>")[2]
    (root / "report" / "outputs").mkdir(parents=True)
    (root / "report" / "outputs" / "base.html").write_text("")
    CliRunner().invoke(app, ["report"], catch_exceptions=False)
    assert '<a href="../../report/outputs/base.html">base</a>' in page.read_text()


def test_no_comparison_yet_is_an_error(root: Path) -> None:
    (root / "metrics" / "compare.json").unlink()
    with pytest.raises(MontessoriError, match="compare"):
        CliRunner().invoke(app, ["report"], catch_exceptions=False)
