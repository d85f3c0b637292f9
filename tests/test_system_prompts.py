"""The system prompt of a row, in every stage that reads rows.

What would break: a row that says "answer like a pirate" is learned, scored or judged without that,
or a stage that counts on user and assistant in turn ends in a traceback.
"""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from montessori.artifacts.dialogue import build_dialogue, join_system
from montessori.artifacts.files import new_folder, write_table
from montessori.artifacts.schemas import PROBE, ROWS
from montessori.datasets import mistakes
from montessori.evals.heldout import _messages_of
from montessori.evals.items import read_items
from montessori.filters.contamination import EvalItems
from montessori.filters.eval_items import is_eval_item
from montessori.formats.formats import FORMATS
from montessori.signals.icl.demonstrations import Texts
from montessori.signals.icl.questions import read_questions
from montessori.signals.judge import ModelJudge
from montessori.sources.heldout import heldout_items
from montessori.sources.rows.row import Row
from montessori.sources.tables import probe_table, rows_table
from montessori.writing import produce, responses
from tests.datasets.test_mistakes import SETTINGS as MISTAKES
from tests.signals.conftest import TellingEngine
from tests.signals.test_judge import SETTINGS as MARKS
from tests.tiny_models import tiny_tokenizer

PIRATE = "Answer like a pirate."
ROW = Row(("What is 1 plus 1?", "Sure?"), ("Arr, 2.", "Aye."), system=PIRATE)
PLAIN = Row(("What is 1 plus 1?",), ("2.",))
ONE_TURN = Row(("What is 1 plus 2?",), ("Arr, 3.",), system=PIRATE)


def write_rows(folder: Path, *rows: Row) -> Path:
    with new_folder(folder, {}) as inside:
        write_table(rows_table(rows)[0], inside / "rows.parquet", ROWS)
    return folder


def test_a_system_prompt_joined_opens_the_first_turn():
    joined = join_system(ROW.messages)
    assert [message["role"] for message in joined] == ["user", "assistant"] * 2
    assert joined[0]["content"] == f"{PIRATE}\n\nWhat is 1 plus 1?"
    assert joined[1:] == ROW.messages[2:]
    assert join_system(PLAIN.messages) == PLAIN.messages


def test_a_dialogue_may_begin_with_it():
    assert build_dialogue(ROW.turns, ROW.responses, [PIRATE]) == ROW.messages


def test_tables_keep_it_and_tell_rows_apart_by_it():
    other = Row(PLAIN.turns, PLAIN.responses, system="Answer like a lord.")
    table, repeated = rows_table([PLAIN, other, Row(PLAIN.turns, PLAIN.responses)])
    assert (table.height, repeated) == (2, 1)
    assert table["messages"][1].to_list() == other.messages
    assert probe_table([ROW])["instruction"][0] == "What is 1 plus 1?\n\nSure?"


def test_the_turns_behind_it_are_eval_items_as_ever():
    items = EvalItems(13)
    items.add("one", ["Name a bird."])
    assert not is_eval_item(ROW.messages, items, frozenset())
    items.add("two", ["What is 1 plus 1?"])
    assert is_eval_item(ROW.messages, items, frozenset())


def test_in_context_it_stands_in_the_question(tmp_path):
    texts = Texts("Q: {{ question }} A: {{ answer }}; ", "Q: {{ question }}", (" {answer}",))
    shown = texts.render_dialogue(ROW.messages)
    assert shown == f"Q: {PIRATE}\n\nWhat is 1 plus 1? A: Arr, 2.; Q: Sure? A: Aye.; "
    asked = read_questions(write_rows(tmp_path / "rows", ROW))
    assert asked["input"].to_list() == [f"{PIRATE}\n\nWhat is 1 plus 1?"]
    assert asked["response"].to_list() == ["Arr, 2."]


def test_a_judge_of_rows_reads_it():
    engine = TellingEngine(lambda asked, k: "Score: 3")
    judge = ModelJudge(lambda: engine, "{{ instruction }}|{{ response }}", MARKS, 0)
    judge.mark_rows(probe_table([ROW, PLAIN]))
    assert engine.asked[0].startswith(f"{PIRATE}\n\nWhat is 1 plus 1?")
    assert PIRATE not in engine.asked[1]


def test_a_student_is_asked_with_it_for_its_mistakes(monkeypatch):
    asked: list[list[dict[str, str]]] = []

    def answer(engine, dialogues, most):
        asked.extend(dialogues)
        return [("2", 1)] * len(dialogues)

    monkeypatch.setattr(mistakes, "_answer_greedily", answer)
    monkeypatch.setattr(
        "montessori.generate.transformers_engine.TransformersEngine.open",
        lambda *_: SimpleNamespace(model=SimpleNamespace(num_parameters=lambda: 1)),
    )
    mistakes._find_by_grader(Path("student"), rows_table([ROW])[0], MISTAKES, None)
    assert asked[0] == ROW.messages[:2]
    assert asked[1] == build_dialogue(ROW.turns, ["2"], [PIRATE])


def test_held_out_rows_are_measured_with_it(tmp_path):
    import json

    (tmp_path / "heldout").mkdir()
    lines = [json.dumps(item) + "\n" for item in heldout_items([ROW, PLAIN])]
    (tmp_path / "heldout" / "heldout.jsonl").write_text("".join(lines))
    first, second = read_items(tmp_path, "heldout", "heldout")
    assert _messages_of(first) == ROW.messages
    assert _messages_of(second) == PLAIN.messages
    assert "system" not in heldout_items([PLAIN])[0]


def test_a_response_probe_asks_with_it(monkeypatch):
    table = probe_table([ROW, PLAIN, ONE_TURN])
    monkeypatch.setattr(responses, "read_unseen_rows", lambda *_: table)
    asked = responses._read_instructions(Path(), Path(), 0)["instruction"].to_list()
    assert asked == ["What is 1 plus 1?", f"{PIRATE}\n\nWhat is 1 plus 2?"]


@pytest.mark.parametrize("name", ["tags", "list", "turn"])
def test_an_example_shows_it(name):
    shown = FORMATS[name].write_prompt(
        [ONE_TURN.messages], "{% for e in examples %}{{ e }}{% endfor %}", tiny_tokenizer()
    )
    assert PIRATE in shown
    assert "What is 1 plus 2?" in shown


def test_a_copy_of_what_an_example_shows_is_no_new_row():
    known = produce.known_turns([ONE_TURN.messages, PLAIN.messages])
    assert known == [ONE_TURN.turns, PLAIN.turns, (f"{PIRATE}\n\nWhat is 1 plus 2?",)]


def test_probe_rows_of_own_data_have_it_first():
    assert probe_table([ROW]).schema == pl.Schema(PROBE)
    assert probe_table([ROW])["messages"][0].to_list()[0] == {"role": "system", "content": PIRATE}
