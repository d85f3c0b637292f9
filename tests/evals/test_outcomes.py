"""Outcome files: one row an item, sorted, whole.

What would break: two runs are paired by different items, or a half-written file is compared.
"""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montessori.artifacts.atomic import write_text
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
    found = read_outcomes(path, "eval@run")
    assert set(found) == set(BENCHMARKS)
    assert found["micro_mmlu"].items == ("micro_mmlu-1", "micro_mmlu-2")
    assert found["micro_mmlu"].value.tolist() == [10.0, 20.0]
    assert found["micro_mmlu"].difference.tolist() == [0.0, 0.0]
    assert found["micro_alpaca_eval"].difference.tolist() == [2.0, 2.0]


def test_a_run_that_was_not_asked_a_benchmark_has_no_outcome_of_it(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    write_outcomes(path, frame().filter(pl.col("benchmark") != "micro_gsm8k"))
    found = read_outcomes(path, "eval@run")
    assert set(found) == {"micro_alpaca_eval", "micro_mt_bench", "micro_mmlu"}


def test_an_outcome_without_value_stays_one(tmp_path: Path) -> None:
    """An item whose verdicts were all malformed is not a lost item: it is in the file, empty."""
    path = tmp_path / "run.csv"
    rows = [("a", "micro_mmlu", None, None), ("b", "micro_mmlu", 100.0, None)]
    write_outcomes(path, pl.DataFrame(rows, schema=dict(frame().schema), orient="row"))
    assert path.read_text().splitlines()[1] == "a,micro_mmlu,,"
    found = read_outcomes(path, "eval@run")["micro_mmlu"]
    assert found.items == ("a", "b")
    assert np.isnan(found.value[0])
    assert found.value[1] == 100.0


def test_equal_outcomes_are_equal_bytes_whatever_the_order_of_rows(tmp_path: Path) -> None:
    write_outcomes(tmp_path / "one.csv", frame())
    write_outcomes(tmp_path / "two.csv", frame().sample(fraction=1.0, shuffle=True, seed=1))
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


HEADER = "item_id,benchmark,value,length_difference\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "outcomes are missing"),
        (HEADER, "there are no outcomes"),
        (HEADER + "a,micro_mmlu,high,\n", "not a table of outcomes"),
        (HEADER + "a,micro_mmlu,inf,\n", "an infinite value"),
        (HEADER + ",micro_mmlu,1.0,\n", "has no item"),
        (HEADER + "a,micro_mmlu,1.0,\na,micro_mmlu,1.0,\n", "an item occurs twice"),
        ("item_id,value\na,1.0\n", "not a table of outcomes"),
    ],
)
def test_a_bad_file_is_named_with_the_stage_that_writes_it(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / "run.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MontessoriError, match=problem) as caught:
        read_outcomes(path, "eval@run")
    assert caught.value.where == str(path)
    assert caught.value.next == "dvc repro eval@run"


def test_missing_items_are_named() -> None:
    values = np.zeros(2)
    whole = Outcome(("a", "b"), values, values)
    part = Outcome(("a",), values[:1], values[:1])
    require_same_items([("x", whole), ("y", whole)], "micro_mmlu")
    with pytest.raises(MontessoriError, match=r"micro_mmlu: run y lacks 1 of 2 items \(b\)"):
        require_same_items([("x", whole), ("y", part)], "micro_mmlu")


def test_text_is_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(path: Path, text: str, **options: str) -> None:
        path.write_bytes(text.encode()[:1])
        raise OSError("no space left")

    write_text(tmp_path / "a" / "b.md", "one\n")
    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(OSError, match="no space"):
        write_text(tmp_path / "a" / "b.md", "two\n")
    assert (tmp_path / "a" / "b.md").read_text() == "one\n"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.md"]
