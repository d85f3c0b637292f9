"""Outcome files: one row an item, sorted, whole.

What would break: two runs are paired by different items, or a half-written file is compared.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montessori.artifacts.files import write_text
from montessori.errors import MontessoriError
from montessori.evals.items import BENCHMARKS
from montessori.evals.outcomes import Outcome, read_outcomes, require_same_items, write_outcomes


def frame() -> pl.DataFrame:
    rows = [
        (f"{name}-{n}", name, float(10 * n), 2.0 if name == "micro_alpaca_eval" else None)
        for name in reversed(BENCHMARKS)
        for n in (2, 1)
    ]
    schema = ("item_id", "benchmark", "value", "length_difference")
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_outcomes_come_back_sorted(tmp_path: Path) -> None:
    path = tmp_path / "outcomes" / "run.csv"
    write_outcomes(path, frame())
    lines = path.read_text().splitlines()
    assert lines[:3] == [
        "item_id,benchmark,value,length_difference",
        "micro_alpaca_eval-1,micro_alpaca_eval,10.0000,2.0000",
        "micro_alpaca_eval-2,micro_alpaca_eval,20.0000,2.0000",
    ]
    assert lines[3].endswith(",10.0000,")
    found = read_outcomes(path)
    assert list(found) == list(BENCHMARKS)
    assert found["micro_mmlu"].items == ("micro_mmlu-1", "micro_mmlu-2")
    assert found["micro_mmlu"].value.tolist() == [10.0, 20.0]
    assert found["micro_mmlu"].difference.tolist() == [0.0, 0.0]
    assert found["micro_alpaca_eval"].difference.tolist() == [2.0, 2.0]


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    with pytest.raises(MontessoriError, match="missing"):
        read_outcomes(path)
    write_outcomes(path, frame().filter(pl.col("benchmark") != "micro_gsm8k"))
    assert list(read_outcomes(path)) == ["micro_alpaca_eval", "micro_mt_bench", "micro_mmlu"]
    path.write_text("item_id,benchmark,value,length_difference\n")
    with pytest.raises(MontessoriError, match="outcomes of no benchmark"):
        read_outcomes(path)
    path.write_text("item_id,benchmark,value,length_difference\na,other,1.0,\n")
    with pytest.raises(MontessoriError, match="outcomes of other"):
        read_outcomes(path)
    path.write_text("item_id,benchmark,value,length_difference\na,micro_mmlu,high,\n")
    with pytest.raises(MontessoriError, match="no table of outcomes"):
        read_outcomes(path)


def test_missing_items_are_named() -> None:
    values = np.zeros(2)
    whole = Outcome(("a", "b"), values, values)
    part = Outcome(("a",), values[:1], values[:1])
    require_same_items([("x", whole), ("y", whole)], "micro_mmlu")
    with pytest.raises(MontessoriError, match=r"micro_mmlu: run y lacks 1 of 2 items \(b\)"):
        require_same_items([("x", whole), ("y", part)], "micro_mmlu")


def test_text_is_written_at_once(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.md", "one\n")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a" / "b.md", "\ud800")
    assert (tmp_path / "a" / "b.md").read_text() == "one\n"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.md"]
