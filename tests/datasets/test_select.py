"""The best rows of a probe as a dataset, and datasets joined.

What would break: a selection takes rows by scores of other rows, keeps an eval item, or depends on
the order of a table.
"""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import PROBE, SCORES
from montessori.datasets.join import JoinParams, join_datasets
from montessori.datasets.select import SelectParams, select_rows
from montessori.errors import MontessoriError
from montessori.filters.settings import DecontaminationParams
from tests.tiny_rows import probe_frame, write_probe

TOP = SelectParams(rows=3, rule="top", per_prompt=1)
CLEAN = DecontaminationParams(ngram=20, limit=1.0)
FRAME = probe_frame(3, 4)  # rows 0 to 11, four to a prompt; row 1 is dropped
SCORE = {0: 1.0, 2: 5.0, 3: 9.0, 4: 2.0, 5: 2.0, 6: -1.0, 7: 0.0, 8: 8.0, 9: 7.0, 10: 6.0, 11: 0.5}


def write_scores(folder: Path, values: dict[int, float]) -> Path:
    table = [
        (FRAME["row_id"][i], FRAME["prompt_id"][i], name, sign * value, 0.0)
        for i, value in values.items()
        for name, sign in (("all", 1), ("sums", -1))  # a skill's scores play no part
    ]
    with new_folder(folder, {}) as temporary:
        frame = pl.DataFrame(table, schema=dict(SCORES), orient="row")
        write_table(frame, temporary / "scores.parquet", SCORES)
    return folder


@pytest.fixture
def selected(tmp_path):
    """A function that selects and gives (places in the probe, metrics)."""
    probe = write_probe(tmp_path / "probe", 3, 4)
    evals = tmp_path / "evals" / "test" / "items.jsonl"
    evals.parent.mkdir(parents=True)
    item = {"item_id": "x", "turns": ["Nothing that a probe would ask."]}
    evals.write_text(json.dumps(item) + "\n")

    def run(settings=TOP, values=SCORE, item=None):
        if item:
            evals.write_text(json.dumps({"item_id": "e", "turns": [item]}) + "\n")
        scores = write_scores(tmp_path / "scores", values)
        out = tmp_path / "out"
        metrics = select_rows(probe, scores, tmp_path / "evals", out, settings, CLEAN)
        ids = read_table(out / "rows.parquet", PROBE)["row_id"].to_list()
        return [FRAME["row_id"].to_list().index(i) for i in ids], metrics

    return run


def test_the_best_rows_in_order_of_the_probe(selected):
    places, metrics = selected()
    assert places == [3, 8, 9]
    assert metrics["rows"] == 3
    assert metrics["of_rows"] == 11
    assert metrics["score_mean"] == pytest.approx(8.0)
    assert metrics["score_mean_of_all"] == pytest.approx(39.5 / 11)


def test_the_best_row_of_each_prompt_of_equal_ones_the_earlier(selected):
    assert selected(replace(TOP, rule="best-of-n"))[0] == [3, 4, 8]
    assert selected(SelectParams(2, "best-of-n", 1))[0] == [3, 4]  # the first prompts
    assert selected(SelectParams(6, "best-of-n", 2))[0] == [2, 3, 4, 5, 8, 9]


def test_an_eval_item_is_never_selected(selected, tmp_path):
    places, metrics = selected(item=FRAME["instruction"][3])
    assert places == [8, 9, 10]
    assert metrics["eval_items"] == 1


def test_too_few_rows_are_an_error_before_anything_is_written(selected, tmp_path):
    with pytest.raises(MontessoriError, match="3 of 4 rows: the probe has 11 scored") as error:
        selected(SelectParams(4, "best-of-n", 1))
    assert "larger probe" in error.value.next
    assert not (tmp_path / "out").exists()


def test_equal_scores_and_scores_of_other_rows_are_errors(selected):
    with pytest.raises(MontessoriError, match="all 11 scores are equal"):
        selected(values=dict.fromkeys(SCORE, 2.0))
    with pytest.raises(MontessoriError, match="1 of 11 scored rows are not kept rows"):
        selected(values={1: 3.0} | {i: v for i, v in SCORE.items() if i != 0})  # 1 is dropped


# -------------------------------------------------------------------------------------- joins
def test_the_first_rows_of_one_and_all_of_another(tmp_path):
    first, second = write_probe(tmp_path / "a", 3, 4), tmp_path / "b"
    with new_folder(second, {}) as folder:
        write_table(FRAME[4:7], folder / "rows.parquet", PROBE)  # rows that are in `first` too
    metrics = join_datasets(first, second, tmp_path / "out", JoinParams(rows=8))
    rows = read_table(tmp_path / "out" / "rows.parquet", PROBE)["row_id"].to_list()
    ids = FRAME["row_id"].to_list()
    assert rows == [ids[i] for i in (0, 1, 2, 3, 7, 4, 5, 6)]
    assert metrics == {"rows": 8, "of_first": 5, "of_second": 3}
    for wrong in (2, 13):
        with pytest.raises(MontessoriError, match=f"do not make {wrong} rows"):
            join_datasets(first, second, tmp_path / "no", JoinParams(rows=wrong))
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(("wanted", "of_first"), [(3, 0), (12, 9)])
def test_a_join_may_take_none_or_all_of_the_first(tmp_path, wanted, of_first):
    """Three rows of the second, nine of the first that are not among them."""
    first, second = write_probe(tmp_path / "a", 3, 4), tmp_path / "b"
    with new_folder(second, {}) as folder:
        write_table(FRAME[4:7], folder / "rows.parquet", PROBE)
    metrics = join_datasets(first, second, tmp_path / "out", JoinParams(rows=wanted))
    assert metrics == {"rows": wanted, "of_first": of_first, "of_second": 3}
    assert read_table(tmp_path / "out" / "rows.parquet", PROBE).height == wanted
