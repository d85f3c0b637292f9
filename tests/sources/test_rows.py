"""A user's own rows: every accepted form, and each malformed line named.

What would break: a user's text is changed or lost on its way in, or one bad line hides the others.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from montessori.errors import MontessoriError
from montessori.sources.rows.read import read_rows as read_file
from montessori.sources.rows.row import Row
from montessori.sources.tables import probe_table, rows_table

PAIR = {"instruction": "Add 1 and 2.", "response": "3"}
CHAT = {
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "See you"},
    ]
}


def read_rows(path: Path) -> list[Row]:
    return read_file(path).rows


def write(path: Path, *rows: Any) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_pairs_inputs_and_messages_are_read(tmp_path: Path):
    merged = {"instruction": "Sum up.", "input": "A text.", "output": "Short.", "skill": "sums"}
    first, second, third = read_rows(write(tmp_path / "r.jsonl", PAIR, "", merged, CHAT))
    assert (first.turns, first.responses, first.skill) == (("Add 1 and 2.",), ("3",), None)
    assert (second.turns, second.responses) == (("Sum up.\n\nA text.",), ("Short.",))
    assert second.skill == "sums"
    assert second.where.endswith("r.jsonl, line 3")
    assert third.messages == CHAT["messages"]


def test_a_system_prompt_is_kept_from_a_message_or_a_field(tmp_path: Path):
    system = {"role": "system", "content": "Be brief."}
    chat = {"messages": [system, *CHAT["messages"]]}
    first, second = read_rows(
        write(tmp_path / "r.jsonl", chat, {**PAIR, "system": system["content"]})
    )
    assert first.messages == chat["messages"]
    assert (second.system, second.messages[0]) == ("Be brief.", system)


def test_a_json_list_is_read_too(tmp_path: Path):
    (tmp_path / "r.json").write_text(json.dumps([PAIR, PAIR]))
    assert [row.where[-5:] for row in read_rows(tmp_path / "r.json")] == ["row 1", "row 2"]


def test_text_is_kept_as_written(tmp_path: Path):
    pair = {"instruction": "  Fix:\n\tx  =  1 ", "response": "ÉÈ \u2028 \n"}
    (row,) = read_rows(write(tmp_path / "r.jsonl", json.dumps(pair, ensure_ascii=False)))
    assert (row.turns, row.responses) == ((pair["instruction"],), (pair["response"],))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "line 2: not a JSON object (Expecting"),
        ("[" * 100_000, "line 2: not a JSON object ("),
        ("3", "line 2: not a JSON object"),
        ({}, "line 2: 'instruction' is missing"),
        ({"instruction": "x"}, "line 2: 'response' is missing"),
        ({"instruction": " ", "response": "x"}, "line 2: 'instruction' has no text"),
        ({"instruction": "x", "response": ""}, "line 2: 'response' has no text"),
        ({"instruction": True, "response": "x"}, "line 2: 'instruction' is not a text (true or"),
        ({**PAIR, "input": ["x"]}, "line 2: 'input' is not a text (a list)"),
        ({**PAIR, "skill": 3}, "line 2: 'skill' is not a text"),
        ({"messages": []}, "line 2: 'messages' is not a list"),
        ({"messages": "abcd"}, "line 2: 'messages' is not a list"),
        ({"messages": CHAT["messages"][:1]}, "does not end with an assistant message"),
        ({"messages": CHAT["messages"][1:3]}, "'messages' does not begin with a user message"),
        (
            {"messages": [{"role": "system", "content": "x"}] * 2},
            "does not begin with a user message",
        ),
        ({"messages": [CHAT["messages"][0], {"role": "assistant"}]}, "message 2 has no text"),
    ],
)
def test_a_malformed_row_is_named_with_its_line(tmp_path: Path, row: Any, problem: str):
    with pytest.raises(MontessoriError) as caught:
        read_rows(write(tmp_path / "r.jsonl", PAIR, row, PAIR))
    assert problem in str(caught.value)
    assert "r.jsonl" in caught.value.where
    assert caught.value.next


def test_all_malformed_rows_come_together_but_not_too_many(tmp_path: Path):
    with pytest.raises(MontessoriError) as caught:
        read_rows(write(tmp_path / "r.jsonl", *[{}] * 15))
    assert "15 malformed rows" in str(caught.value)
    assert "line 10:" in str(caught.value)
    assert "and 5 more" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no rows"),
        (b"\n \n", "no rows"),
        (b"{}\n\xe9", "line 2: not"),
        (None, "does not exist"),
    ],
)
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: bytes | None, problem: str):
    path = tmp_path / "r.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MontessoriError, match=problem):
        read_rows(path)


def test_repeated_rows_are_left_out_and_counted(tmp_path: Path):
    table, repeated = rows_table(read_rows(write(tmp_path / "r.jsonl", PAIR, CHAT, PAIR)))
    assert (table.height, repeated) == (2, 1)
    assert table["row_id"].n_unique() == 2
    assert table["instruction"].to_list() == ["Add 1 and 2.", "Hi\n\nBye"]
    assert table["response"].to_list() == ["3", "Hello\n\nSee you"]


def test_a_probe_groups_rows_by_prompt_or_by_four(tmp_path: Path):
    plain = [{"instruction": f"Say {number}.", "response": str(number)} for number in range(6)]
    named = [
        {**row, "prompt": "Write one.", "instruction": f"A {row['instruction']}"}
        for row in plain[:2]
    ]
    named[0]["raw"] = "Because. <instruction>x</instruction>"
    table = probe_table(read_rows(write(tmp_path / "r.jsonl", named[0], *plain, named[1], CHAT)))
    assert table["prompt"].to_list()[:2] == ["Write one."] * 2
    assert table["sample"].to_list() == [0, 1, 0, 1, 2, 3, 0, 1, 2]
    assert table["prompt_id"].n_unique() == 3
    assert table["raw"][0] == "Because. <instruction>x</instruction>"
    assert table["raw"][2] == "<instruction>Say 0.</instruction>"
    assert table["raw"][-1] == "<instruction>Hi</instruction>\n<follow-up>Bye</follow-up>"
    assert table["response_tokens"].null_count() == table.height


def test_a_repeated_probe_row_is_dropped_not_trained_on(tmp_path: Path):
    table = probe_table(read_rows(write(tmp_path / "r.jsonl", PAIR, PAIR, CHAT)))
    assert table["dropped"].to_list() == [None, "duplicate", None]
    assert table["row_id"].n_unique() == 3
    assert table["messages"][1].to_list() == []
    assert table["instruction"][1] == ""
