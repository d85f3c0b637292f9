"""Files of records: the form is told by the content, and every fault has its line.

What would break: a file that any library writes is refused because of its name, or read with a
record lost, or an error sends the user through thousands of lines.
"""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from montessori.artifacts.json_lines import read_file_text, read_json_lines
from montessori.artifacts.records.read import Records, read_records
from montessori.errors import MontessoriError

ONE, TWO = {"a": "1", "b": "x, y"}, {"a": "2", "b": "two\nlines \u2028 \x85"}
ROWS = [ONE, TWO]


def read(tmp_path: Path, content: bytes | str, **options: Any) -> Records:
    path = tmp_path / "rows"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_records(path, ("a",), **options)


def dump(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)


def table(kind: str) -> bytes:
    handle = io.BytesIO()
    getattr(pl.DataFrame(ROWS), f"write_{kind}")(handle)
    return handle.getvalue()


LINES = dump(ONE) + "\n" + dump(TWO) + "\n"
FILES = {
    "lines": LINES,
    "lines with blanks, CRLF and a mark": "\ufeff" + LINES.replace("\n", "\r\n\r\n"),
    "list": dump(ROWS),
    "printed list": "\n " + dump(ROWS, 2),
    "list, a row a line": "[\n" + ",\n".join(map(dump, ROWS)) + "\n]",
    "objects one after another": dump(ONE, 2) + "\n" + dump(TWO, 2),
    "wrapped": dump({"version": 1, "notes": [], "data": ROWS}),
    "wrapped and printed": dump({"anything": ROWS, "count": 2}, 2),
    "columns": dump({"a": ["1", "2"], "b": [ONE["b"], TWO["b"]]}),
    "columns of pandas": dump(
        {"a": {"0": "1", "1": "2"}, "b": {"0": ONE["b"], "1": TWO["b"]}}, None
    ),
    "rows by name": dump({"first": ONE, "second": TWO}),
    "two files with marks, one behind the other": "\ufeff\ufeff"
    + LINES.replace("\n", "\n\ufeff", 1),
    "lines of an old Mac": LINES.replace("\n", "\r"),
    "utf-16": LINES.encode("utf-16"),
    "gzip": gzip.compress(LINES.encode()),
    "csv": table("csv"),
    "gzip of csv": gzip.compress(table("csv")),
    "parquet": table("parquet"),
    "arrow": table("ipc"),
    "arrow stream": table("ipc_stream"),
    "tsv": 'a\tb\r\n1\tx, y\r\n2\t"' + TWO["b"] + '"\r\n',
    "cells between strokes": 'a|b\n1|x, y\n2|"' + TWO["b"] + '"\n',
    "semicolons": "\ufeffa;b\n1;x, y\n2;" + '"' + TWO["b"] + '"',
}


@pytest.mark.parametrize("form", FILES)
def test_a_form_is_told_by_its_content(tmp_path: Path, form: str):
    assert list(read(tmp_path, FILES[form]).values) == ROWS


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ('{"a": 1}\n\n{"a": 2}', ["line 1", "line 3"]),
        ('{\n"a": 1}\n{\n"a": 2}', ["line 1", "line 3"]),
        ('[{"a": 1}, {"a": 2}]', ["row 1", "row 2"]),
        ("a,b\n1,\n\n2,3\n", ["row 1", "row 3"]),
        ("a,b\r1,2\r2,3\r", ["row 1", "row 2"]),
        ('a,b\n5" wide,"two\nlines"\nx,y\n', ["line 2", "line 4"]),
    ],
)
def test_records_know_their_places(tmp_path: Path, content: str, places: list[str]):
    assert [place for place, _ in read(tmp_path, content)] == places


def test_a_broken_line_is_told_from_the_others(tmp_path: Path):
    records = read(tmp_path, b'{"a": 1\n{"a": "\xff"}\n{"a": 3}\n{"a": 4} x\n3\n')
    broken = [isinstance(value, Exception) for value in records.values]
    assert broken == [True, True, False, True, False]


@pytest.mark.parametrize(
    "repeated",
    [
        '{"a": "1", "b": "2", "a": "1"}',
        '{"a": {"b": [[{"c": 1, "c": 1}]]}}',
        '{"a": "say \\"x\\": y", "b": 1, "b": 2}',
        '{"a" : "blanks", "a" : "1"}',
        '{"a": "half \\ud83d", "b": NaN, "b": 2}',
    ],
)
def test_a_key_that_stands_twice_is_no_record(tmp_path: Path, repeated: str):
    lines = ['{"a": "x", "b": "say \\"x\\": y"}', repeated, '{"a" : "y", "b" :\t{"a": "b"}}']
    records = read(tmp_path, "\n".join(lines))
    broken = [isinstance(value, Exception) for value in records.values]
    assert broken == [False, True, False]
    assert "twice in one object" in str(records.values[1])
    path = tmp_path / "rows"
    with pytest.raises(MontessoriError, match="line 2: not valid JSON .the key '[abc]' twice"):
        read_json_lines(path)


def test_a_row_with_too_many_cells_is_told_from_the_others(tmp_path: Path):
    records = read(tmp_path, "a,b\n1,2,3\n4,5\n6\n")
    assert list(records.numbers) == [2, 3, 4]
    assert isinstance(records.values[0], ValueError)
    assert records.values[1:] == [{"a": "4", "b": "5"}, {"a": "6", "b": None}]


def test_rows_without_a_cell_are_no_records_and_long_cells_are_read(tmp_path: Path):
    text = "y" * 200_000
    for odd in ("4", 'say "x"'):  # read by polars and by line
        records = read(tmp_path, f"a,b\n1,{text}\n,\n\n{odd},5\n")
        assert list(records.values) == [{"a": "1", "b": text}, {"a": odd, "b": "5"}]


def test_numbers_in_a_table_are_texts_unless_asked_for(tmp_path: Path):
    content = "a,b\n01,x\n1.50,y\n"
    assert [row["a"] for row in read(tmp_path, content).values] == ["01", "1.50"]
    assert [row["a"] for row in read(tmp_path, content, numbers=True).values] == [1.0, 1.5]


def test_the_list_is_named_where_there_are_several(tmp_path: Path):
    content = dump({"train": [ONE], "test": [TWO]})
    with pytest.raises(MontessoriError, match=r"several lists: train \(1\), test \(1\)") as caught:
        read(tmp_path, content)
    assert "reading.list: train" in caught.value.next
    assert read(tmp_path, content, held_by="test").values == [TWO]
    with pytest.raises(MontessoriError, match="no list 'dev'; its keys are train, test"):
        read(tmp_path, content, held_by="dev")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('[\n{"a": 1},\n{"a": 2},\n]', "line 4: not valid JSON (a comma after the last entry)"),
        ('[\n{"a": 1},\n{"a": 2]', "line 3: not valid JSON"),
        ('{"a": 1,\n"b"}', "line 2: not valid JSON"),
        (b'[\n{"a": "\xe9"}]', "line 2: not UTF-8"),
        ('{"a": 1},\n{"a": 2},\n', "line 1: not valid JSON (a comma between objects)"),
        ('{"a": 1,}', "line 1: not valid JSON (a comma after the last entry)"),
        ('[\n{"a": 1},\n{"a": [{"b": 1, "b": 2}]}]', "line 3: not valid JSON (the key 'b' twice"),
        ('{"data": [{"a": 1},\n {"a" : 2, "a": 2}]}', "line 2: not valid JSON (the key 'a' twice"),
        ('a,b\n1,2\n{"a": "3", "b": "4"}\n', "line 3: a JSON object in a table of columns"),
        (LINES.encode("utf-16-le"), "line 1: zero bytes"),
        (LINES.encode("utf-32"), "line 1: zero bytes"),
        (b"a,b\0\n1,2\n", "line 1: zero bytes"),
        ("x" * 200_000, "neither JSON nor a table"),
        (gzip.compress(gzip.compress(LINES.encode())), "packed by gzip twice"),
        (gzip.compress(LINES.encode())[:-9], "a broken gzip file"),
        ("b,c\n1,2\n", "line 1: none of the columns b, c is known"),
        ("a,a\n1,2\n", "line 1: two columns have the same name"),
        ('a,b\n1,2\n3,"x\n4,5\n', "line 3: not CSV"),
        ("hello\n", "neither JSON nor a table"),
        (b"PK\x03\x04 ", "a zip archive"),
        (b"\x1f\x8b broken", "a broken gzip file"),
        (b"PAR1 broken", "a broken table"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        ("<!DOCTYPE html>\n", "an HTML page"),
        ("<!doctype html>\n", "an HTML page"),
        (b"%PDF-1.7\n", "a PDF"),
        (None, "does not exist"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, content: bytes | str | None, named: str):
    with pytest.raises(MontessoriError) as caught:
        read(tmp_path, content) if content is not None else read_records(tmp_path / "no")
    assert named in caught.value.what
    assert caught.value.where
    assert caught.value.next


def test_items_and_verdicts_come_in_the_same_forms(tmp_path: Path):
    path = tmp_path / "verdicts"
    for content in (
        "instruction,preference\nx,1.5\n",
        gzip.compress(b'[{"instruction": "x", "preference": 1.5}]'),
        b'\n{"instruction": "x", "preference": 1.5}\r\n',
    ):
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (line,) = read_json_lines(path)
        assert line.value == {"instruction": "x", "preference": 1.5}
    assert line.number == 2
    path.write_bytes(gzip.compress("\ufeffa\r\nb \u2028".encode()))
    assert read_file_text(path) == "a\nb \u2028"
    path.write_text('{"question": 1}\n{"question": 2\n')
    with pytest.raises(MontessoriError, match="line 2: not valid JSON"):
        read_json_lines(path)


@pytest.mark.parametrize(
    "row", [{"turns": ["Say 4"]}, {"question": "q", "choices": ["one"]}, {"turns": ["a", "b"]}]
)
def test_a_single_row_with_a_list_is_no_table_of_columns(tmp_path: Path, row: dict) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(row))
    assert list(read_records(path, ("turns", "question")).values) == [row]
