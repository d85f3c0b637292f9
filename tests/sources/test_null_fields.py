"""Fields that are null count as absent: tables have every column in every row.

What would break: rows exported from a table are refused, or a null becomes the text of an answer.
"""

import json
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.sources.rows.read import read_rows

PAIR = {"instruction": "Add 1 and 2.", "response": "3"}
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def read_one(tmp_path: Path, row: dict):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row) + "\n")
    return read_rows(path).rows


def test_a_row_of_a_table_has_nulls_where_it_has_nothing(tmp_path: Path):
    nothing = dict.fromkeys(("input", "system", "skill", "key", "prompt", "raw"))
    (pair,) = read_one(tmp_path, {**PAIR, **nothing, "messages": None})
    assert (pair.turns, pair.responses) == (("Add 1 and 2.",), ("3",))
    assert (pair.skill, pair.key, pair.system) == (None, None, None)
    (dialogue,) = read_one(
        tmp_path, {"messages": TURNS, "instruction": None, "response": None, **nothing}
    )
    assert dialogue.messages == TURNS


@pytest.mark.parametrize("field", PAIR)
def test_a_text_that_is_needed_is_not_null(tmp_path: Path, field: str):
    with pytest.raises(MontessoriError, match=f"{field}"):
        read_one(tmp_path, {**PAIR, field: None})
    broken = [TURNS[0], {**TURNS[1], "content": None}]
    with pytest.raises(MontessoriError, match="content"):
        read_one(tmp_path, {"messages": broken})
