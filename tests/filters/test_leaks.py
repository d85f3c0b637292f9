"""Eval items among finished rows: by text, by content, by a run of words, in a response.

What would break: a dataset is called clean although it holds test questions, or one leak is counted
several times.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import read_json
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.filters.leaks import count_leaks
from montessori.lab.grader import recognise_task
from montessori.pipeline.stage import Job
from stages import leaks

LONG = "a long item of a public benchmark with more words than the run that tells it apart"
RESPONSE = f"Here is {LONG.upper()}, as I know it."


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    known = recognise_task(["What is 3 plus 4?"])
    assert known is not None
    items = {
        "dev": [{"item_id": "d", "turns": [LONG]}],
        "test": [
            {"item_id": "t", "turns": ["Name a colour."]},
            {"item_id": "u", "turns": ["asked in quite other words"], "key": known.key},
        ],
    }
    for split, lines in items.items():
        (tmp_path / "evals" / split).mkdir(parents=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "evals" / split / "x.jsonl").write_text(text)
    return tmp_path / "evals"


def rows(folder: Path, *dialogues: tuple[str, str, str | None]) -> Path:
    """rows.parquet of (instruction, response, why dropped)."""
    folder.mkdir(parents=True)
    table = [
        {
            "row_id": str(number),
            "messages": [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": said},
            ],
            "instruction": asked,
            "response": said,
            "dropped": dropped,
        }
        for number, (asked, said, dropped) in enumerate(dialogues)
    ]
    pl.DataFrame(table, schema=PROBE).write_parquet(folder / "rows.parquet")
    return folder


def test_each_way_to_hold_an_item_is_counted_once(evals: Path, tmp_path: Path) -> None:
    folder = rows(
        tmp_path / "data" / "probe" / "p-1",
        ("name a COLOUR", "red", None),  # the text, normalised
        ("What is 3 plus 4?", "7", None),  # the lab's content
        ("Say something.", RESPONSE, None),  # a run of words, in the response
        (LONG, "no", None),  # a run of words, asked
        ("Name a colour.", "red", "duplicate"),  # dropped: nobody learns it
        ("Name a bird.", "a wren", None),
        ("What is 3 plus 5?", "8", None),
    )
    assert count_leaks(folder, evals, ngram=8) == {
        "artifact": "probe/p-1",
        "rows": 6,
        "eval_items": 4,
        "splits": {"dev": 2, "test": 2},
    }
    whole = count_leaks(folder, evals, ngram=0)  # items by their whole text only
    assert (whole["eval_items"], whole["splits"]) == (3, {"dev": 1, "test": 2})


def test_rows_that_nobody_drops_are_all_counted(evals: Path, tmp_path: Path) -> None:
    folder = rows(tmp_path / "seed" / "seeds", ("Name a colour.", "red", "duplicate"))
    table = pl.read_parquet(folder / "rows.parquet")
    table.select("row_id", "messages").write_parquet(folder / "rows.parquet")
    assert count_leaks(folder, evals, 8)["eval_items"] == 1
    table.drop("messages").write_parquet(folder / "rows.parquet")
    with pytest.raises(MontessoriError, match="'messages' is missing"):
        count_leaks(folder, evals, 8)


def test_without_items_it_stops(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    folder = rows(tmp_path / "probe" / "p", ("Name a bird.", "a wren", None))
    with pytest.raises(MontessoriError, match="no eval items to look for"):
        count_leaks(folder, tmp_path / "evals", 8)


def test_the_stage_writes_the_counts(
    evals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("decontamination: {ngram: 8, limit: 0.5}\n")
    folder = rows(tmp_path / "datasets" / "m", ("Name a colour.", "red", None))
    paths = {"rows": folder, "evals": evals, "metrics": Path("metrics/leaks/learned/m.json")}
    leaks.main(Job("learned-m", "leaks", paths))
    found = read_json(paths["metrics"])
    assert (found["artifact"], found["eval_items"]) == ("datasets/m", 1)
