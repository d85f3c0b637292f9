"""Tables, digests, atomic folders and manifests: what every stage reads and writes through.

What would break: a half-written folder counts as finished, two equal runs differ in their bytes so
that everything after them runs again, or a table with a wrong column is read in silence.
"""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import (
    file_digest,
    folder_digest,
    make_table,
    new_folder,
    read_json,
    read_table,
    row_id,
    write_json,
    write_table,
)
from montessori.artifacts.schemas import PAIRS, PROBE, ROWS, SCORES
from montessori.errors import MontessoriError

SCORE = {"row_id": "a", "prompt_id": "p", "reference": "all", "score": 0.5, "neutral": None}


def test_row_ids_are_stable_and_keep_parts_apart():
    assert row_id("a", "b") == "235870420603e322"
    assert len({row_id("ab"), row_id("a", "b"), row_id("a", "b", ""), row_id("", "ab")}) == 4
    assert row_id("\ud800")  # text that UTF-8 cannot hold


def test_a_table_comes_back_as_it_was(tmp_path: Path):
    messages = [{"role": "user", "content": "é"}, {"role": "assistant", "content": "ü"}]
    row = {"row_id": "1", "messages": messages, "instruction": "é", "response": "ü", "skill": None}
    frame = pl.DataFrame([row], schema=ROWS)
    write_table(frame.select(reversed(frame.columns)), tmp_path / "rows.parquet", ROWS)
    assert read_table(tmp_path / "rows.parquet", ROWS).equals(frame)
    assert read_table(tmp_path / "rows.parquet", ROWS).columns == list(ROWS)


def test_a_column_without_values_gets_its_type(tmp_path: Path):
    write_table(pl.DataFrame([SCORE]), tmp_path / "scores.parquet", SCORES)
    assert read_table(tmp_path / "scores.parquet", SCORES).schema == pl.Schema(SCORES)


def test_reading_takes_the_columns_asked_for(tmp_path: Path):
    write_table(pl.DataFrame(schema=PROBE), tmp_path / "rows.parquet", PROBE)
    assert read_table(tmp_path / "rows.parquet", ROWS).columns == list(ROWS)


def test_a_table_of_another_shape_names_file_column_and_type(tmp_path: Path):
    path = tmp_path / "pairs.parquet"
    with pytest.raises(MontessoriError) as caught:
        write_table(pl.DataFrame({"pair_id": [1], "more": ["x"]}), path, PAIRS)
    text = str(caught.value)
    assert "'pair_id' is Int64, expected String" in text
    assert "'chosen' is missing" in text
    assert "'more' is not in the schema" in text
    assert str(path) in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"not parquet"])
def test_a_missing_or_broken_table_is_an_error(tmp_path: Path, content: bytes | None):
    path = tmp_path / "scores.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MontessoriError, match=r"scores\.parquet"):
        read_table(path, SCORES)


def test_json_is_sorted_and_refuses_nan(tmp_path: Path):
    write_json(tmp_path / "deep" / "m.json", {"b": 0.1, "a": [1, None]})
    assert (tmp_path / "deep" / "m.json").read_text().startswith('{\n  "a": [')
    assert read_json(tmp_path / "deep" / "m.json") == {"b": 0.1, "a": [1, None]}
    with pytest.raises(MontessoriError, match="JSON"):
        write_json(tmp_path / "deep" / "m.json", {"b": float("nan")})
    assert read_json(tmp_path / "deep" / "m.json")["b"] == 0.1
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_reading_bad_json_names_the_file(tmp_path: Path):
    (tmp_path / "x.json").write_text("{")
    for name in ("x.json", "y.json"):
        with pytest.raises(MontessoriError, match=name):
            read_json(tmp_path / name)


def test_folder_digest_sees_names_and_contents(tmp_path: Path):
    def digest(**files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        (folder / "sub").mkdir(parents=True)
        for name, text in files.items():
            (folder / "sub" / name).write_text(text)
        return folder_digest(folder)

    assert digest(a="1", b="2") == digest(b="2", a="1")
    assert len({digest(a="1"), digest(b="1"), digest(a="2"), digest()}) == 4
    with pytest.raises(MontessoriError, match="does not exist"):
        folder_digest(tmp_path / "none")


def test_a_new_folder_appears_whole_with_its_manifest(tmp_path: Path):
    source, out = tmp_path / "in.txt", tmp_path / "data" / "out"
    source.write_text("input")
    facts = {"rows": 0}
    with new_folder(out, {"source": source}, facts, libraries=("polars", "no-such")) as folder:
        assert not out.exists()
        (folder / "x.txt").write_text("x")
        facts["rows"] = 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["inputs"] == {"source": file_digest(source)}
    assert manifest["files"] == {"x.txt": file_digest(out / "x.txt")}
    assert manifest["facts"] == {"rows": 3}
    assert list(manifest["libraries"]) == ["polars"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_two_equal_runs_write_the_same_bytes_wherever_they_are(tmp_path: Path):
    for name in ("a", "b"):
        with new_folder(tmp_path / name / "out", {}, {"rows": 1}) as folder:
            write_table(pl.DataFrame([SCORE]), folder / "scores.parquet", SCORES)
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")


def test_a_failed_folder_leaves_nothing_and_keeps_the_old_one(tmp_path: Path):
    def fill(text: str, fail: bool) -> None:
        with new_folder(tmp_path / "out", {}) as folder:
            (folder / "x.txt").write_text(text)
            if fail:
                raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fill("first", fail=True)
    assert list(tmp_path.iterdir()) == []
    fill("second", fail=False)
    with pytest.raises(RuntimeError):
        fill("third", fail=True)
    assert (tmp_path / "out" / "x.txt").read_text() == "second"
    fill("fourth", fail=False)
    assert (tmp_path / "out" / "x.txt").read_text() == "fourth"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_run_left_does_not_get_into_the_next(tmp_path: Path):
    for process in (4194400, os.getpid()):  # in a container a number comes back
        (tmp_path / f".out.{process}.partial").mkdir()
        (tmp_path / f".out.{process}.partial" / "stale.txt").write_text("stale")
    with new_folder(tmp_path / "out", {}) as folder:
        (folder / "x.txt").write_text("x")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "x.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_half_a_character_becomes_a_mark_wherever_it_stands(tmp_path: Path, caplog):
    messages = [{"role": "user", "content": "Name it: \ud83d"}]
    whole = {"row_id": "a", "messages": [{"role": "user", "content": "\U0001f600"}]}
    absent = {"instruction": "", "response": "", "skill": None}
    table = make_table([whole | absent, {"row_id": "b", "messages": messages} | absent], ROWS)
    assert table["messages"][1][0]["content"] == "Name it: \ufffd"
    assert table["messages"][0][0]["content"] == "\U0001f600"
    assert "1 of 2 rows" in caplog.text
    write_json(tmp_path / "x.json", {"name": "\ude00", "other": "\ud83d\ude00"})
    assert read_json(tmp_path / "x.json") == {"name": "\ufffd", "other": "\U0001f600"}
