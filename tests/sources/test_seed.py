"""The stage seed: sets from recipes, their shares, and no eval item among them.

What would break: reference rows are test questions, or the same sources give another seed set
tomorrow.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from montessori.artifacts.files import folder_digest, read_table
from montessori.artifacts.schemas import PROBE, ROWS
from montessori.errors import MontessoriError
from montessori.evals.items import BENCHMARKS, read_items
from montessori.filters.settings import DecontaminationParams
from montessori.lab.families import FAMILIES
from montessori.lab.grader import recognise_task
from montessori.lab.task import bucket_of
from montessori.sources.drawn import share_out
from montessori.sources.load import load_evals_recipe, load_rows
from montessori.sources.own_rows import dataset_file, probe_file
from montessori.sources.seed import prepare_sources

ROOT = Path(__file__).parents[2]
LAB = {
    "kind": "lab",
    "bucket": "train",
    "rows": 20,
    "seed": 0,
    "weights": {"add": 1, "story_add": 1, "capitals": 0.5},
}
EVALS = {
    "kind": "lab-evals",
    "seed": 0,
    "items": {"micro_mmlu": 8, "micro_gsm8k": 8, "micro_alpaca_eval": 8, "micro_mt_bench": 8},
    "weights": {
        "micro_mmlu": {"choice_units": 1},
        "micro_gsm8k": {"story_add": 1},
        "micro_alpaca_eval": {"story_add": 1, "add": 1},
        "micro_mt_bench": {"dialogue_change": 1},
    },
}
Prepare = Callable[..., dict[str, Any]]


@pytest.fixture
def make(tmp_path: Path) -> Prepare:
    """Run the seed stage in a folder, with some sources replaced by texts or recipes."""

    def run(out: str = "data", ngram: int = 13, **changes: Any) -> dict[str, Any]:
        sources: dict[str, Any] = {
            "seeds": LAB,
            "reference": {**LAB, "bucket": "reference", "weights": {"story_add": 1}},
            "other_reference": {**LAB, "bucket": "reference", "weights": {"nth_word": 1}},
            "evals": EVALS,
        } | changes
        paths = {}
        for name, value in sources.items():
            rows = isinstance(value, list)
            paths[name] = tmp_path / f"{name}.{'jsonl' if rows else 'json'}"
            lines = [json.dumps(row) for row in value] if rows else [json.dumps(value)]
            paths[name].write_text("\n".join(lines))
        evals = paths.pop("evals")
        return prepare_sources(
            paths, evals, {n: tmp_path / out / n for n in paths}, tmp_path / out / "evals", ngram
        )

    return run


def test_sets_are_written_with_gold_answers_from_their_split(make: Prepare, tmp_path: Path):
    metrics = make()
    assert metrics["seeds"] == {
        "rows": 20,
        "repeated": 0,
        "skills": {"arithmetic": 8, "stories": 8, "knowledge": 4},
    }
    seeds = read_table(tmp_path / "data/seeds/rows.parquet", ROWS)
    for row in seeds.to_dicts():
        task = recognise_task([row["instruction"]])
        assert task is not None
        assert task.turns[0].response == row["response"]
        assert bucket_of(task.key) == "train"
    assert metrics["evals"]["test"] == dict.fromkeys(EVALS["items"], 8)


def test_eval_items_can_be_read_and_are_right(make: Prepare, tmp_path: Path):
    make()
    keys = set()
    for split in ("dev", "test"):
        for benchmark in BENCHMARKS:
            for item in read_items(tmp_path / "data/evals", split, benchmark):
                assert bucket_of(item.key) == split
                keys.add(item.key)
                if item.choices:
                    assert item.gold is not None
                    assert item.responses[0] == f"{'ABCD'[item.gold]}. {item.choices[item.gold]}"
                    assert item.turns[0].splitlines()[1] == f"A. {item.choices[0]}"
    assert len(keys) == 2 * 4 * 8


def test_the_same_sources_give_the_same_bytes(make: Prepare, tmp_path: Path):
    make("one")
    make("two")
    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")


def test_a_reference_row_that_is_an_eval_item_is_an_error(make: Prepare, tmp_path: Path):
    make()
    item = read_items(tmp_path / "data/evals", "test", "micro_gsm8k")[3]
    row = {"instruction": item.turns[0].upper() + " \n", "response": "x"}
    with pytest.raises(MontessoriError) as caught:
        make("again", reference=[{"instruction": "Fine.", "response": "x"}, row])
    text = str(caught.value)
    assert "1 of the reference set are in the test items" in text
    assert "line 2 = micro_gsm8k-test-0003" in text
    assert "leaks" in text
    assert not (tmp_path / "again").exists()


def test_a_row_that_holds_a_long_eval_item_is_an_error(make: Prepare, tmp_path: Path):
    make(ngram=0)
    item = next(
        item
        for item in read_items(tmp_path / "data/evals", "test", "micro_gsm8k")
        if len(item.turns[0].split()) >= 9
    )
    asked = [{"instruction": f"Please: {item.turns[0]} Answer kindly.", "response": "x"}]
    told = [{"instruction": "Tell me something.", "response": f"Listen. {item.turns[0]}"}]
    for rows in (asked, told):
        make("out", seeds=rows, ngram=0)
        with pytest.raises(MontessoriError, match="1 of the seed pool are in the test items") as e:
            make("again", seeds=rows, ngram=9)
        assert f"seeds.jsonl, line 1 = {item.item_id}" in str(e.value)
        assert "decontamination.ngram" in str(e.value)


def test_other_words_for_the_same_task_overlap_too(make: Prepare):
    seeds = [{"instruction": "What is 17 plus 25?", "response": "42"}]
    reference = [{"instruction": "17 + 25 = ?", "response": "42"}]
    assert recognise_task(["What is 17 plus 25?"]).key == recognise_task(["17 + 25 = ?"]).key
    with pytest.raises(MontessoriError, match="1 of the seed pool are in the reference set"):
        make(seeds=seeds, reference=reference)


def test_all_overlaps_come_together(make: Prepare):
    rows = [{"instruction": f"Do it {number} times!", "response": "x"} for number in range(8)]
    with pytest.raises(MontessoriError) as caught:
        make(seeds=rows, reference=rows, other_reference=rows)
    assert str(caught.value).count("8 of the") == 3
    assert "and 3 more" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "labs"}, "unknown kind of recipe: 'labs'"),
        ({"rows": 0}, "rows: 0 is below 1"),
        ({"bucket": "exam"}, "bucket: 'exam' (str) is not one of train"),
        ({"weights": {"adds": 1}}, "unknown families: adds"),
        ({"weights": {"add": 0}}, "weights: no weight is above 0"),
        ({"weights": {"add": -1, "nth_word": 1}}, "weights.add: -1.0 is below 0"),
        ({"more": 1}, "more: unknown key"),
        ({"weights": {"capitals": 1}, "rows": 60}, "capitals has no further task in the bucket"),
        ({"weights": {"capitals": 1}, "bucket": "test"}, "capitals has no task in bucket 'test'"),
    ],
)
def test_a_bad_recipe_is_an_error(make: Prepare, change: dict[str, Any], problem: str):
    with pytest.raises(MontessoriError) as caught:
        make(seeds={**LAB, **change})
    assert problem in str(caught.value)
    assert "seeds.json" in str(caught.value)


def test_a_source_that_needs_rows_is_no_recipe_without_any(tmp_path: Path):
    path = tmp_path / "none.json"
    path.write_text('{"kind": "none"}')
    assert load_rows(path, optional=True).rows == []
    with pytest.raises(MontessoriError, match="unknown kind of recipe: 'none'"):
        load_rows(path)


def test_a_hub_recipe_must_be_pinned(tmp_path: Path):
    path = tmp_path / "hub.json"
    columns = {"instruction": "q", "answer": "a"}
    path.write_text(
        json.dumps({"kind": "hub", "dataset": "a/b", "revision": "main", "columns": columns})
    )
    with pytest.raises(MontessoriError) as caught:
        load_rows(path)
    for text in ("not a commit of 40 hex", "columns.answer: unknown", "name instruction and"):
        assert text in str(caught.value)


def test_a_hub_data_set_is_mapped_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_dict({"q": ["Say a.", "Say b."], "a": ["a", "b"]})
    calls = []

    def load_dataset(*args: Any, **options: Any) -> Any:
        calls.append((args, options))
        return table

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    path = tmp_path / "hub.json"
    recipe = {"kind": "hub", "dataset": "a/b", "revision": "0" * 40, "rows": 1}
    path.write_text(json.dumps({**recipe, "columns": {"instruction": "q", "response": "a"}}))
    assert [row.turns for row in load_rows(path).rows] == [("Say a.",)]
    assert calls == [(("a/b", None), {"split": "train", "revision": "0" * 40})]
    path.write_text(json.dumps({**recipe, "columns": {"instruction": "q", "response": "z"}}))
    with pytest.raises(MontessoriError, match="has no column z"):
        load_rows(path)


def test_shares_add_up_and_follow_the_weights():
    assert share_out(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert share_out(7, {"a": 0.5, "b": 0.25, "c": 0.25}) == {"a": 3, "b": 2, "c": 2}
    assert sum(share_out(1000, {str(i): i / 7 for i in range(1, 40)}).values()) == 1000


def test_the_labs_own_recipes_hold():
    folder = ROOT / "data/micro/sources"
    recipe = load_evals_recipe(folder / "evals.json")
    assert set(recipe.items) == set(BENCHMARKS)
    assert min(recipe.items.values()) >= 400
    families = {name for weights in recipe.weights.values() for name in weights}
    assert all(FAMILIES[name].evaluated for name in families)
    for name in ("seeds", "reference", "other_reference"):
        assert len(load_rows(folder / f"{name}.json").rows) >= 256


ANY = DecontaminationParams(ngram=0, limit=1.0)


def test_a_probe_of_ones_own(tmp_path: Path):
    path, out, evals = tmp_path / "mine.jsonl", tmp_path / "data/probe/mine", tmp_path / "evals"
    evals.mkdir()
    (evals / "exam.jsonl").write_text('{"turns": ["Say 4"]}')
    rows = [{"instruction": f"Say {n}.", "response": str(n)} for n in [*range(6), 0]]
    path.write_text("\n".join(map(json.dumps, rows)))
    dropped = {"duplicate": 1, "eval item": 1}
    assert probe_file(path, evals, out, ANY) == {
        "rows": 7,
        "kept": 5,
        "prompts": 2,
        "dropped": dropped,
    }
    table = read_table(out / "rows.parquet", PROBE)
    assert table.schema == pl.Schema(PROBE)
    assert table["dropped"].to_list() == [None] * 4 + ["eval item", None, "duplicate"]
    assert dataset_file(path, evals, tmp_path / "set", ANY)["rows"] == 5
    with pytest.raises(MontessoriError, match="1 of 7 samples hold eval items"):
        dataset_file(path, evals, tmp_path / "other", DecontaminationParams(0, 0.1))
    path.write_text("{}")
    with pytest.raises(MontessoriError, match="line 1"):
        probe_file(path, evals, tmp_path / "other", ANY)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", ["a/b", "..", "/tmp/x", "", "a\0b", "a\n", "x" * 300])
def test_names_of_eval_items_are_names_of_files(tmp_path: Path, name: str):
    path = tmp_path / "evals.json"
    evals = {"kind": "lab-evals", "items": {name: 4}, "weights": {name: {"story_add": 1}}}
    path.write_text(json.dumps(evals))
    with pytest.raises(MontessoriError, match="is not a name of letters"):
        load_evals_recipe(path)


@pytest.mark.parametrize("rows", [10**8, 10**30])
def test_a_recipe_has_a_largest_number_of_rows(tmp_path: Path, rows: int):
    path = tmp_path / "rows.json"
    recipe = {"kind": "lab", "bucket": "train", "rows": rows, "weights": {"metres": 1}}
    path.write_text(json.dumps(recipe))
    with pytest.raises(MontessoriError, match="above 10,000,000|not a whole number"):
        load_rows(path)
