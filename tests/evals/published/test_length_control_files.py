"""Where published weights, difficulties and tables are found, and which are refused.

What would break: the fit takes weights of another judge or difficulties of other instructions.
"""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from montessori.errors import MontessoriError
from montessori.evals.published.annotations import Comparison, read_annotations
from montessori.evals.published.length_control_files import (
    ANNOTATOR,
    LengthControlFiles,
    difficulty_of,
    find_files,
    paths_by_kind,
    read_gamed,
    read_weights,
)
from montessori.sources.alpaca_tables import read_difficulty
from tests.evals.published.published_files import HEAD, write


@pytest.fixture
def comparison(annotations: Callable[..., Path]) -> Comparison:
    return read_annotations(annotations([1, 1.5, 2], annotator=ANNOTATOR))


def test_weights_of_a_model(tmp_path: Path) -> None:
    path = write(tmp_path / "weights.csv", HEAD + "a,1,2,3\nb,4,5,6\n1.5,0,0,0\na,-1.5,0.5,7\n")
    weights = read_weights(path, "a")
    assert weights is not None
    assert (weights.length, weights.difficulty, weights.constant) == (-1.5, 0.5, 7.0)
    assert read_weights(path, "c") is None


def test_difficulty_in_the_order_of_its_index(tmp_path: Path) -> None:
    text = "index,instruction_difficulty\n2,0.3\n0,0.1\n1,-0.2\n"
    np.testing.assert_array_equal(
        read_difficulty(write(tmp_path / "difficulty.csv", text)), [0.1, -0.2, 0.3]
    )
    gamed = "model,index,preference,std_delta_len,instruction_difficulty\n" + "".join(
        f"{model},{i},{p},{i - 1},{i / 10}\n" for model in "ab" for i, p in ((0, 0.5), (1, ""))
    )
    path = write(tmp_path / "df_gamed.csv", gamed)
    np.testing.assert_array_equal(read_difficulty(path), [0.0, 0.1])
    table = read_gamed(path)
    np.testing.assert_array_equal(table.preference, [0.5, math.nan] * 2)
    np.testing.assert_array_equal(table.length, [-1, 0] * 2)
    np.testing.assert_array_equal(table.difficulty, [0, 0.1] * 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index,other\n0,1\n", "instruction_difficulty"),
        ("index,instruction_difficulty\n0,easy\n", "no numbers"),
        ("index,instruction_difficulty\n0,0.1\n1,\n", "not in every row"),
        ("index,instruction_difficulty\n0,0.1\n1,NaN\n", "not in every row"),
        ("index,instruction_difficulty\n", "no numbers"),
        ("index,instruction_difficulty\n1,0.1\n2,0.2\n", "does not count the instructions from 0"),
        ("index,instruction_difficulty\n0,1\n1,2,3,4,5\n", "cannot be read as CSV"),
        ("", "cannot be read as CSV"),
    ],
)
def test_tables_that_are_not_the_published_ones(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "difficulty.csv", text)
    with pytest.raises(MontessoriError, match=message) as caught:
        read_difficulty(path)
    assert caught.value.where == str(path)


def test_an_absent_table(tmp_path: Path) -> None:
    with pytest.raises(MontessoriError, match="cannot be read as CSV"):
        read_weights(tmp_path / "absent.csv", "a")


def test_difficulty_by_instruction_or_by_position(comparison: Comparison, tmp_path: Path) -> None:
    lines = "".join(f"{i},{i / 10}\n" for i in range(4))
    files = LengthControlFiles(
        difficulty=write(tmp_path / "d.csv", f"index,instruction_difficulty\n{lines}")
    )
    assert difficulty_of(comparison, LengthControlFiles()) is None
    assert difficulty_of(comparison, files) is None  # 3 rows, 4 difficulties
    order = [f"question {i}" for i in (2, 3, 0, 1)]
    outputs = write(
        tmp_path / "outputs.json",
        json.dumps([{"instruction": text, "output": ""} for text in order]),
    )
    known = difficulty_of(comparison, replace(files, reference_outputs=outputs))
    np.testing.assert_array_equal(known, [0.2, 0.3, 0.0])
    four = replace(comparison, instructions=("a", "b", "c", "d"))
    np.testing.assert_array_equal(difficulty_of(four, files), [0, 0.1, 0.2, 0.3])
    assert difficulty_of(four, replace(files, reference_outputs=outputs)) is None


def test_files_are_found_in_the_published_layout(comparison: Comparison, tmp_path: Path) -> None:
    weights = "src/alpaca_eval/metrics/weights/" + ANNOTATOR + "/length_controlled_v1/"
    paths = {
        "weights": write(tmp_path / (weights + "baseline_reference.csv"), ""),
        "difficulty": write(tmp_path / "results" / "instruction_difficulty.csv", ""),
        "reference_outputs": write(tmp_path / "results/reference/model_outputs.json", ""),
    }
    annotations = write(tmp_path / "results" / "model" / ANNOTATOR / "annotations.json", "")
    found = find_files(LengthControlFiles(), annotations, comparison)
    assert paths_by_kind(found) == {kind: str(path.resolve()) for kind, path in paths.items()}
    mine = LengthControlFiles(difficulty=tmp_path / "mine.csv")
    assert find_files(mine, annotations, comparison).difficulty == tmp_path / "mine.csv"


@pytest.mark.parametrize("change", [{"annotator": "other"}, {"reference": "../reference"}])
def test_nothing_is_found_for_other_judges_or_odd_names(
    comparison: Comparison, tmp_path: Path, change: dict[str, str]
) -> None:
    write(tmp_path / "instruction_difficulty.csv", "")
    annotations = tmp_path / "annotations.json"
    assert find_files(LengthControlFiles(), annotations, comparison).difficulty is not None
    assert (
        find_files(LengthControlFiles(), annotations, replace(comparison, **change))
        == LengthControlFiles()
    )
