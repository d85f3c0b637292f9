"""Held-out rows in the stage seed: items of their own, no training row among them.

What would break: a student is trained on the rows that its loss is measured on, or a bad file of
rows is found hours later.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.evals.items import read_items
from montessori.filters.leaks import count_leaks
from montessori.filters.settings import DecontaminationParams
from montessori.sources.heldout import HELDOUT
from montessori.sources.own_rows import dataset_file
from montessori.sources.seed import prepare_sources
from tests.sources.test_seed import EVALS, LAB

ROWS = [
    {"instruction": "Name a bird.", "response": "A wren.", "skill": "birds"},
    {"instruction": "Name a fish.", "response": "A carp.", "skill": "fish"},
    {"instruction": "Name a bird.", "response": "A wren.", "skill": "birds"},
]


@pytest.fixture
def seed(tmp_path: Path) -> Any:
    """Run the stage seed with a source of held-out rows; `seeds` may replace the seed pool."""

    def run(heldout: Any, seeds: Any = LAB, out: str = "data") -> dict[str, Any]:
        reference = {**LAB, "bucket": "reference", "weights": {"story_add": 1}}
        other = {**LAB, "bucket": "reference", "weights": {"nth_word": 1}}
        values = {"seeds": seeds, "reference": reference, "other_reference": other}
        paths = {name: _write(tmp_path / name, value) for name, value in values.items()}
        evals = _write(tmp_path / "evals", EVALS)
        source = heldout if heldout is None else _write(tmp_path / "mine", heldout)
        outs = {name: tmp_path / out / name for name in values}
        return prepare_sources(paths, evals, outs, tmp_path / out / "evals", 13, source)

    return run


def _write(stem: Path, value: Any) -> Path:
    path = stem.with_suffix(".jsonl" if isinstance(value, list) else ".json")
    lines = value if isinstance(value, list) else [value]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_rows_are_items_of_a_split_of_their_own(seed: Any, tmp_path: Path) -> None:
    metrics = seed(ROWS)
    assert metrics[HELDOUT] == {"rows": 2, "repeated": 1, "skills": {"birds": 1, "fish": 1}}
    assert metrics["evals"][HELDOUT] == {HELDOUT: 2}
    items = read_items(tmp_path / "data/evals", HELDOUT, HELDOUT)
    assert [item.item_id for item in items] == ["heldout-0001", "heldout-0002"]
    assert (items[1].turns, items[1].responses, items[1].skill) == (
        ("Name a fish.",),
        ("A carp.",),
        "fish",
    )
    manifest = read_json(tmp_path / "data/evals/manifest.json")
    assert set(manifest["inputs"]) == {"source", "heldout"}


def test_what_is_not_read_as_it_stands_is_counted(seed: Any) -> None:
    metrics = seed([*ROWS, {"instruction": "Name a tree.", "response": 7, "source": "x"}])
    assert metrics[HELDOUT]["numbers_as_text"] == 1
    assert metrics[HELDOUT]["unused_fields"] == {"source": 1}


def test_without_rows_nothing_changes(seed: Any, tmp_path: Path) -> None:
    plain = seed(None, out="plain")
    assert seed({"kind": "none"}, out="none") == plain
    files = {path.relative_to(tmp_path / "plain") for path in (tmp_path / "plain").rglob("*")}
    for file in files:
        one, other = tmp_path / "plain" / file, tmp_path / "none" / file
        assert one.is_dir() or one.read_bytes() == other.read_bytes()
    assert not (tmp_path / "none/evals/heldout").exists()


def test_a_training_row_that_is_held_out_is_refused_or_dropped(seed: Any, tmp_path: Path) -> None:
    with pytest.raises(MontessoriError, match="1 of the seed pool are in the held-out rows"):
        seed(ROWS, seeds=[{"instruction": "name a FISH", "response": "Pike."}])
    assert not (tmp_path / "data").exists()
    seed(ROWS)
    learned = [{"instruction": f"Count to {n}.", "response": "1"} for n in range(2, 30)]
    file = _write(tmp_path / "learned", [*learned, ROWS[1]])
    evals = tmp_path / "data/evals"
    facts = dataset_file(file, evals, tmp_path / "set", DecontaminationParams(13, 0.05))
    assert facts["dropped"] == {"eval item": 1}
    assert count_leaks(tmp_path / "set", evals, 13)["splits"] == {"dev": 0, "heldout": 0, "test": 0}


def test_a_row_may_be_held_out_and_asked(seed: Any, tmp_path: Path) -> None:
    seed(None)
    item = read_items(tmp_path / "data/evals", "test", "micro_gsm8k")[0]
    row = {"instruction": item.turns[0], "response": item.responses[0]}
    assert seed([row], out="again")[HELDOUT]["rows"] == 1


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "the file has no rows"),
        ([ROWS[0], {"instruction": "Name a fish."}], "line 2: 'response' is missing"),
        ({"kind": "nothing"}, "unknown kind of recipe: 'nothing'"),
    ],
)
def test_a_bad_source_is_refused_before_anything_is_written(
    seed: Any, tmp_path: Path, rows: Any, text: str
) -> None:
    with pytest.raises(MontessoriError, match=text):
        seed(rows)
    assert not (tmp_path / "data").exists()
