"""Annotation files of AlpacaEval: preferences, lengths, swapped rows, malformed files.

What would break: a win is read as a loss because the two answers were swapped, or a file of another
kind is scored.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from montessori.errors import MontessoriError
from montessori.evals.published.alpaca_scores import LengthControl, score_comparison
from montessori.evals.published.annotations import read_annotations, read_outputs


def test_preferences_lengths_and_counts(annotations: Callable[..., Path]) -> None:
    read = read_annotations(annotations([1, 2.0, 1.5, 0, 1.25, None, math.nan, [3], "2", True]))
    nan = math.nan
    expected = [0, 1, 0.5, 0.5, 0.25, nan, nan, nan, nan, nan]
    np.testing.assert_allclose(read.preference, expected)
    assert (read.unparsed, read.invalid, read.swapped, read.duplicates) == (2, 3, 0, 0)
    assert (read.model, read.reference, read.annotator) == ("model", "reference", "judge")
    np.testing.assert_array_equal(read.length, np.arange(10) + 4)
    assert (read.reference_length == 10).all()


def test_swapped_rows_are_turned_round(annotations: Callable[..., Path]) -> None:
    path = annotations([1.25, 1.25, 1.25])
    rows = json.loads(path.read_text())
    row = rows[1]
    row["generator_1"], row["generator_2"] = row["generator_2"], row["generator_1"]
    row["output_1"], row["output_2"] = row["output_2"], row["output_1"]
    path.write_text(json.dumps(rows))
    read = read_annotations(path)
    np.testing.assert_allclose(read.preference, [0.25, 0.75, 0.25])
    np.testing.assert_array_equal(read.length, [4, 5, 6])
    assert read.swapped == 1
    other = read_annotations(path, model="reference")
    np.testing.assert_allclose(other.preference, [0.75, 0.25, 0.75])
    np.testing.assert_array_equal(other.length, [10, 10, 10])
    assert other.swapped == 2


def test_the_public_reference_is_the_reference_wherever_it_stands(
    annotations: Callable[..., Path],
) -> None:
    path = annotations([1.25, 2], generator_1="mine", generator_2="gpt4_1106_preview")
    read = read_annotations(path)
    assert (read.model, read.reference, read.swapped) == ("mine", "gpt4_1106_preview", 2)
    np.testing.assert_allclose(read.preference, [0.75, 0.0])


def test_answers_from_other_files(annotations: Callable[..., Path], tmp_path: Path) -> None:
    path = annotations([1, 2])
    rows = json.loads(path.read_text())
    for row in rows:
        del row["output_1"], row["output_2"]
    path.write_text(json.dumps(rows))
    assert np.isnan(read_annotations(path).length).all()
    outputs = tmp_path / "model_outputs.json"
    outputs.write_text(json.dumps([{"instruction": "question 1", "output": "seven.."}]))
    read = read_annotations(path, outputs=read_outputs(outputs))
    np.testing.assert_array_equal(read.length, [math.nan, 7])
    assert np.isnan(read.reference_length).all()


def test_duplicates_are_counted(annotations: Callable[..., Path]) -> None:
    assert read_annotations(annotations([1, 2, 2], instruction="the same")).duplicates == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ('[{"instruction": "a"', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('[{"instruction": "a", "instruction": "b"}]', "the key 'instruction' twice"),
        ("[]", "no annotations"),
        ('{"instruction": "a"}', "not a list of annotations"),
        ("[1]", "row 1 of 1 is not an annotation"),
        ('[{"instruction": "a", "generator_1": "b", "generator_2": "c"}]', "row 1 of 1"),
    ],
)
def test_what_is_no_annotations_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "annotations.json"
    path.write_text(text)
    with pytest.raises(MontessoriError, match=message) as caught:
        read_annotations(path)
    assert caught.value.where == str(path)
    assert caught.value.next


def test_a_byte_order_mark_and_json_lines_are_read(
    annotations: Callable[..., Path], tmp_path: Path
) -> None:
    rows = json.loads(annotations([1, 2]).read_text())
    marked, lines = tmp_path / "marked.json", tmp_path / "lines.json"
    marked.write_text("\ufeff" + json.dumps(rows), encoding="utf-8")
    rows[0]["output_1"] = "two\u2028lines"
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    lines.write_text(text, encoding="utf-8")
    for path in (marked, lines):
        np.testing.assert_array_equal(read_annotations(path).preference, [0, 1])


@pytest.mark.parametrize(
    ("preferences", "scale"),
    [
        ([0, 0.25, 1], "between 0 and 1, and row 2 has 0.25"),
        ([1, 0, 1, 1, 0], "between 0 and 1, and row 2 has 0"),
        ([None, 0, 0], "between 0 and 0, and row 2 has 0"),
        ([0, 0.25, 2, 1], "between 0 and 2, and row 2 has 0.25"),
        ([1, 2, 5, 4], "between 1 and 5, and row 3 has 5"),
        ([1, -1, 1], "between -1 and 1, and row 2 has -1"),
        ([1.5, 10**400], "hundreds of digits"),
    ],
)
def test_another_scale_is_refused(
    annotations: Callable[..., Path], preferences: list[Any], scale: str
) -> None:
    with pytest.raises(MontessoriError, match=scale) as caught:
        read_annotations(annotations(preferences))
    assert "from 1 (the first answer is better) to 2" in caught.value.expected


@pytest.mark.parametrize(
    ("preferences", "note"),
    [
        ([0, 2, 1], "1 with preference 0 count as ties"),
        ([1, 1, 1], "all rows have the same preference; if it is a 1 that stands for won"),
    ],
)
def test_what_may_be_another_scale_is_told(
    annotations: Callable[..., Path], preferences: list[Any], note: str
) -> None:
    read = read_annotations(annotations(preferences))
    figures = score_comparison(read, LengthControl({}, ()))
    assert figures["notes"][0].startswith(note)


def test_a_model_compared_with_itself_beside_other_rows_does_not_count(
    annotations: Callable[..., Path],
) -> None:
    path = annotations([1, 2, 2])
    rows = json.loads(path.read_text())
    rows[2]["generator_1"] = rows[2]["generator_2"]
    path.write_text(json.dumps(rows))
    read = read_annotations(path)
    np.testing.assert_array_equal(read.preference, [0, 1, math.nan])
    assert (read.itself, read.invalid, read.unparsed) == (1, 0, 0)
    notes = score_comparison(read, LengthControl({}, ()))["notes"]
    assert notes == ["1 rows compare a model with itself: not counted"]


@pytest.mark.parametrize("key", ["instruction", "generator_1", "generator_2"])
def test_a_name_that_is_missing_is_no_name(annotations: Callable[..., Path], key: str) -> None:
    with pytest.raises(MontessoriError, match=f"row 1: {key} is None, not a text"):
        read_annotations(annotations([1, 2], **{key: None}))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(MontessoriError, match="cannot be read"):
            read_annotations(path)
    (tmp_path / "latin.json").write_bytes(b'["\xe4"]')
    with pytest.raises(MontessoriError, match="line 1: not UTF-8 text"):
        read_annotations(tmp_path / "latin.json")


def test_more_than_two_generators(annotations: Callable[..., Path]) -> None:
    path = annotations([1, 2])
    with pytest.raises(MontessoriError, match="other is not in the file: model, reference"):
        read_annotations(path, model="other")
    rows = json.loads(path.read_text())
    rows[0]["generator_2"] = "third"
    path.write_text(json.dumps(rows))
    with pytest.raises(MontessoriError, match="more than two generators: third, model, reference"):
        read_annotations(path)


def test_outputs_need_texts(tmp_path: Path) -> None:
    path = tmp_path / "model_outputs.json"
    for text in ('[{"instruction": "a"}]', '{"a": 1}', '[{"instruction": "a", "output": null}]'):
        path.write_text(text)
        with pytest.raises(MontessoriError, match="not an outputs file"):
            read_outputs(path)


def test_names_are_safe_to_print(annotations: Callable[..., Path]) -> None:
    read = read_annotations(annotations([1, 2], generator_2="a\x1b[31mb\ud800"))
    assert read.model == "a?[31mb?"
