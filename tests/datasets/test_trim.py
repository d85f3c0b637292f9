"""Datasets cut to each other's response tokens.

What would break: a comparison at equal length compares datasets of different length.
"""

from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import read_table, write_table
from montessori.artifacts.schemas import PROBE
from montessori.datasets.trim import take_tokens, trim_dataset
from montessori.errors import MontessoriError


def dataset(folder: Path, tokens: list[int | None]) -> Path:
    names = [f"r{index}" for index in range(len(tokens))]
    columns = {name: [None] * len(tokens) for name in PROBE}
    frame = pl.DataFrame(columns | {"row_id": names, "response_tokens": tokens}, schema=dict(PROBE))
    folder.mkdir()
    write_table(frame, folder / "rows.parquet", PROBE)
    return folder


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (4, 0), (5, 1), (11, 2), (12, 3), (100, 3)])
def test_cut_keeps_the_longest_start_that_fits(limit: int, kept: int) -> None:
    assert take_tokens(pl.DataFrame({"response_tokens": [5, 6, 1]}), limit).height == kept


def test_two_datasets_cut_to_each_other_are_about_equal(tmp_path: Path) -> None:
    long, short = dataset(tmp_path / "long", [5, 6, 7, 8]), dataset(tmp_path / "short", [9, 3])
    assert trim_dataset(long, short, tmp_path / "a") == {
        "rows": 2,
        "response_tokens": 5.5,
        "response_tokens_total": 11,
        "rows_before": 4,
        "response_tokens_total_before": 26,
    }
    assert trim_dataset(short, long, tmp_path / "b")["rows"] == 2
    assert read_table(tmp_path / "a" / "rows.parquet", PROBE)["row_id"].to_list() == ["r0", "r1"]


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    long, short = dataset(tmp_path / "long", [50]), dataset(tmp_path / "short", [9])
    with pytest.raises(MontessoriError, match="no row of long fits"):
        trim_dataset(long, short, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_without_counted_tokens_are_an_error(tmp_path: Path) -> None:
    own, other = dataset(tmp_path / "own", [5, None]), dataset(tmp_path / "other", [9])
    for first, second in ((own, other), (other, own)):
        with pytest.raises(
            MontessoriError, match="1 rows of own have no number of response tokens"
        ):
            trim_dataset(first, second, tmp_path / "out")
