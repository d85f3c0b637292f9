"""Every form of row that the field writes, and what of it is kept, counted or refused by name.

What would break: a common file is refused, or read with a part of it lost and nothing said.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from montessori.errors import MontessoriError
from montessori.sources.rows.read import RowsRead, read_rows, read_turns
from montessori.sources.rows.settings import ReadingParams

ASK, TELL = {"role": "user", "content": "Say one."}, {"role": "assistant", "content": "One."}
MORE = {"role": "user", "content": "Say two."}
PLAIN = (None, ("Say one.",), ("One.",))
KIND = ("Be kind.", ("Say one.",), ("One.",))
TWO = (None, ("Say one.", "Say two."), ("One.", "Two."))
LINES = (None, ("Say one.\n\nSay two.",), ("One.",))
BOT = {"from": "gpt", "value": "One."}
HUMAN = {"from": "human", "value": "Say one."}


def read(tmp_path: Path, *rows: Any, **reading: Any) -> RowsRead:
    path = tmp_path / "rows.any"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_rows(path, ReadingParams(**reading))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"instruction": "Say one.", "response": "One."}, PLAIN),
        ({"instruction": "Say one.", "input": "Say two.", "output": "One."}, LINES),
        ({"instruction": "Say one.", "context": "Say two.", "response": "One."}, LINES),
        ({"instruction": "Say one.", "output": "One.", "system": "Be kind."}, KIND),
        ({"instruction": "Say one.", "output": "One.", "system": " ", "history": []}, PLAIN),
        (
            {"instruction": "Say two.", "output": "Two.", "history": [["Say one.", "One."]]},
            TWO,
        ),
        ({"prompt": "Say one.", "completion": "One."}, PLAIN),
        ({"prompt": "Say one.", "response": "One."}, PLAIN),
        ({"prompt": [ASK], "completion": [TELL]}, PLAIN),
        ({"prompt": [{"role": "system", "content": "Be kind."}, ASK], "completion": [TELL]}, KIND),
        ({"question": "Say one.", "answer": "One."}, PLAIN),
        ({"system_prompt": "Be kind.", "question": "Say one.", "response": "One."}, KIND),
        ({"question": "Say one.", "answer": 1}, (None, ("Say one.",), ("1",))),
        ({"prompt": "Say one.", "chosen": "One.", "rejected": "No."}, PLAIN),
        ({"prompt": "Say one.", "chosen": [ASK, TELL], "rejected": [ASK, TELL]}, PLAIN),
        ({"chosen": [ASK, TELL], "rejected": [ASK, TELL]}, PLAIN),
        ({"prompt": [ASK], "chosen": [TELL], "rejected": [TELL]}, PLAIN),
        ({"conversations": [HUMAN], "chosen": BOT, "rejected": BOT}, PLAIN),
        ({"messages": [ASK, TELL], "label": True}, PLAIN),
        ({"prompt": "Say one.", "completion": "One.", "label": True}, PLAIN),
        ({"conversations": [HUMAN, BOT], "tools": "[]"}, PLAIN),
        ({"conversations": [HUMAN, BOT], "system": "Be kind."}, KIND),
        ({"conversations": [{"from": "system", "value": "Be kind."}, HUMAN, BOT]}, KIND),
        ({"messages": [{"role": "developer", "content": "Be kind."}, ASK, TELL]}, KIND),
        ({"messages": [{"role": "system", "content": ""}, ASK, TELL]}, PLAIN),
        ({"messages": [ASK, MORE, TELL]}, LINES),
        (
            {"messages": [{**ASK, "content": [{"type": "text", "text": "Say one."}]}, TELL]},
            PLAIN,
        ),
        ({"messages": json.dumps([ASK, TELL])}, PLAIN),
        ({"messages": None, "instruction": "Say one.", "response": None, "output": "One."}, PLAIN),
        ({"messages": [], "instruction": "Say one.", "output": "One.", "prompt": None}, PLAIN),
        ({"instruction": "Say one.", "input": float("nan"), "output": "One."}, PLAIN),
    ],
)
def test_a_form_is_read_whole(tmp_path: Path, row: Any, expected: Any):
    (found,), _ = read(tmp_path, row)
    assert (found.system, found.turns, found.responses) == expected


def test_a_seed_task_is_a_row_for_each_instance(tmp_path: Path):
    instances = [{"input": "hot", "output": "cold"}, {"input": "", "output": "down"}]
    rows, facts = read(tmp_path, {"instruction": "Turn.", "instances": instances, "id": "seed_1"})
    assert [row.turns[0] for row in rows] == ["Turn.\n\nhot", "Turn."]
    assert [row.responses[0] for row in rows] == ["cold", "down"]
    assert facts == {"unused_fields": {"id": 1}}


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [1]}]}, "a tool"),
        ({"conversations": [HUMAN, {"from": "function_call", "value": "{}"}]}, "calls a tool"),
        ({"conversations": [HUMAN, BOT], "tools": '[{"name": "x"}]'}, "'tools' holds tools"),
        ({"messages": [ASK, TELL], "images": ["a.png"]}, "'images' holds images"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, TELL]},
            "type 'image_url'",
        ),
        ({"messages": [ASK, TELL, {"role": "system", "content": "x"}]}, "within the dialogue"),
        ({"messages": [ASK, {"role": "judge", "content": "x"}]}, "'judge'"),
        ({"messages": '[{"role": "user", "role": "user"}]'}, "the key 'role' twice"),
        ({"messages": [ASK]}, "does not end with an assistant message"),
        ({"conversations": [BOT]}, "does not begin with a user message"),
        ({"instruction": "Say one.", "response": True}, "'response' is not a text (true or false)"),
        ({"instruction": "Say one.", "response": {"a": 1}}, "'response' is not a text (an object)"),
        ({"question": "Which?", "choices": ["a", "b"], "answer": 1}, "'choices' holds choices"),
        ({"instruction": "x", "output": "y", "history": [["a"]]}, "not a pair"),
        ({"text": "x"}, "'instruction' is missing: none of instruction, prompt, question"),
        ({"question": "Which?", "answers": {"text": []}}, "only 'question', 'answers'"),
    ],
)
def test_what_is_no_dialogue_of_texts_is_refused_by_name(tmp_path: Path, row: Any, named: str):
    with pytest.raises(MontessoriError) as caught:
        read(tmp_path, row)
    assert "line 1: " in str(caught.value)
    assert named in str(caught.value)
    assert "malformed: drop" in caught.value.next


def test_fields_that_are_not_used_are_counted(tmp_path: Path):
    pair = {"instruction": "Say one.", "response": "One.", "output": "Uno.", "weight": 0.5}
    told = {**TELL, "thinking": "Hm.", "name": None, "weight": 0}
    said = {"messages": [ASK, told], "category": "qa"}
    _, facts = read(tmp_path, pair, pair, said, {**pair, "weight": None, "label": 3})
    unused = {"output": 3, "weight": 2, "category": 1, "label": 1}
    unused |= {"messages.thinking": 1, "messages.weight": 1}
    assert facts == {"unused_fields": unused}


def test_rows_alike_and_unlike_keep_their_order_and_their_counts(tmp_path: Path):
    plain = {"instruction": "a", "output": "1", "id": 7}
    more = {"instruction": "b", "input": "x", "output": "2"}
    first = [plain, {**more, "input": 0}, more, {**plain, "output": "[{"}, "oops"]
    last = [{**plain, "id": ""}, {**more, "input": " "}, {**more, "input": None}, plain]
    rows, facts = read(tmp_path, *first, *last, malformed="drop")
    turns = ["a", "b\n\n0", "b\n\nx", "a", "a", "b", "b", "a"]
    assert [row.turns[0] for row in rows] == turns
    assert [int(row.where.rpartition(" ")[2]) for row in rows] == [1, 2, 3, 4, 6, 7, 8, 9]
    assert facts == {"numbers_as_text": 1, "malformed": 1, "unused_fields": {"id": 3}}


def test_answers_marked_as_bad_are_left_out_and_counted(tmp_path: Path):
    bad = {"messages": [ASK, TELL], "label": False}
    rows, facts = read(tmp_path, bad, {**bad, "label": True}, bad)
    assert (len(rows), facts) == (1, {"left_out": {"label false": 2}})
    cells = [{**bad, "label": text} for text in ("False", "True", "false")]  # of a table
    rows, facts = read(tmp_path, *cells)
    assert (len(rows), facts) == (1, {"left_out": {"label false": 2}})


def test_malformed_rows_are_dropped_and_counted_on_request(tmp_path: Path):
    rows, facts = read(tmp_path, {"prompt": "x"}, {"prompt": "x", "response": 4}, malformed="drop")
    assert [row.responses for row in rows] == [("4",)]
    assert facts == {"malformed": 1, "numbers_as_text": 1}
    with pytest.raises(MontessoriError, match="1 malformed row"):
        read(tmp_path, {"prompt": "x"}, malformed="drop")


def test_columns_of_other_names_are_read_under_ours(tmp_path: Path):
    row = {"q": "Say one.", "a": "One.", "instruction": "Old."}
    (found,), facts = read(tmp_path, row, columns={"instruction": "q", "response": "a"})
    assert (found.turns, found.responses) == (("Say one.",), ("One.",))
    assert facts == {"unused_fields": {"instruction of the file": 1}}


def test_half_characters_are_replaced_and_counted(tmp_path: Path):
    whole, half = "\U0001f600", "cut \ud83d"
    row = {"instruction": half, "response": whole}
    rows, facts = read(tmp_path, row, {**row, "instruction": "\x00 " + whole})
    assert [row.turns[0] for row in rows] == ["cut \ufffd", "\x00 " + whole]
    assert facts == {"half_characters": 1}


def test_items_need_no_answer(tmp_path: Path):
    path = tmp_path / "items"
    rows = [{"prompt": "a"}, {"question": "b", "answer": ""}, {"messages": [ASK, TELL, MORE]}]
    path.write_text(json.dumps({"items": rows}))
    assert read_turns(path) == [("a",), ("b",), ("Say one.", "Say two.")]
