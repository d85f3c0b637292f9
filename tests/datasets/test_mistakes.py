"""What a student gets wrong: by the lab's checker, and by its loss.

What would break: the mistake set holds rows that the student answers right, or judges the row's
answer in place of the student's.
"""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.dialogue import build_dialogue
from montessori.artifacts.files import new_folder, read_table, row_id, write_table
from montessori.artifacts.schemas import ROWS
from montessori.datasets import mistakes
from montessori.datasets.mistakes import MistakesParams, write_mistakes
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import load_merged
from montessori.train.loss import mean_losses, tokenize_rows

SETTINGS = MistakesParams(
    by="grader", rows=0, share=0.25, max_new_tokens=8, max_length=128, min_rows=1
)
#: Instruction and the response of the row, which may itself be wrong.
TASKS = [
    ("What is 17 plus 25?", "42"),
    ("What is 17 plus 26?", "44"),
    ("What is 17 plus 27?", "44"),
    ("Sing a song of your own.", "La la la."),
]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Three sums, the second with a wrong answer, and something that is no task of the lab."""
    table = [
        {
            "row_id": row_id(asked),
            "messages": [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": said},
            ],
            "instruction": asked,
            "response": said,
            "skill": "arithmetic" if "plus" in asked else None,
        }
        for asked, said in TASKS
    ]
    with new_folder(tmp_path / "rows", {}) as folder:
        write_table(pl.DataFrame(table, schema=dict(ROWS)), folder / "rows.parquet", ROWS)
    return tmp_path / "rows"


def found(out: Path) -> list[str]:
    return read_table(out / "rows.parquet", ROWS)["instruction"].to_list()


def answering(monkeypatch, *texts: str) -> None:
    """Let the student say these texts, in order, whatever it would have said."""
    monkeypatch.setattr(mistakes, "_answer_greedily", lambda *_: [(text, 5) for text in texts])


def test_the_students_answer_counts_not_that_of_the_row(
    rows, student, machine, tmp_path, monkeypatch
):
    answering(monkeypatch, "42", "43", "45", "La.")
    metrics = write_mistakes(student, rows, tmp_path / "out", SETTINGS, machine)
    assert found(tmp_path / "out") == ["What is 17 plus 27?"]
    assert metrics["rows"] == 1
    assert metrics["judged"] == 3
    assert metrics["looked_at"] == 4
    assert metrics["oracle"] is True
    assert metrics["skills"] == {"arithmetic": 1}
    assert metrics["tokens_forward"] == 20


def test_an_empty_mistake_set_is_an_error_that_names_the_other_way(
    rows, student, machine, tmp_path, monkeypatch
):
    answering(monkeypatch, "42", "43", "44", "La.")
    with pytest.raises(MontessoriError, match="0 mistakes are too few: of 4 rows 3 could") as error:
        write_mistakes(student, rows, tmp_path / "out", SETTINGS, machine)
    assert "mistakes.by: loss" in error.value.next
    assert not (tmp_path / "out").exists()


def test_a_real_student_answers_greedily(rows, student, machine, tmp_path):
    metrics = write_mistakes(student, rows, tmp_path / "out", SETTINGS, machine)
    assert found(tmp_path / "out") == [asked for asked, _ in TASKS[:3]]  # it knows nothing yet
    tokenizer = chat.load_tokenizer(student)
    prompts = [[{"role": "user", "content": asked}] for asked, _ in TASKS]
    read = sum(map(len, chat.render_prompts(tokenizer, prompts)))
    assert read < metrics["tokens_forward"] <= read + 4 * 8


def test_by_loss_the_worst_share_is_taken(rows, student, machine, tmp_path):
    settings = replace(SETTINGS, by="loss", share=0.5)
    metrics = write_mistakes(student, rows, tmp_path / "out", settings, machine)
    tokenizer, model = chat.load_tokenizer(student), load_merged(student).eval()
    dialogues = read_table(rows / "rows.parquet", ROWS)["messages"].to_list()
    losses = [
        mean_losses(model, [row], tokenizer.pad_token_id).item()
        for row in tokenize_rows(tokenizer, dialogues, 128)
    ]
    worst = sorted(sorted(range(4), key=lambda i: losses[i])[2:])
    assert found(tmp_path / "out") == [TASKS[i][0] for i in worst]
    assert metrics["oracle"] is False


def test_by_loss_rows_without_a_response_are_not_judged(rows, student, machine, tmp_path):
    tokenizer = chat.load_tokenizer(student)
    dialogues = read_table(rows / "rows.parquet", ROWS)["messages"].to_list()
    prompts = [len(ids) for ids in chat.render_prompts(tokenizer, [d[:1] for d in dialogues])]
    longest = max(prompts)
    settings = replace(SETTINGS, by="loss", share=1.0, max_length=longest)
    metrics = write_mistakes(student, rows, tmp_path / "out", settings, machine)
    left = [asked for (asked, _), length in zip(TASKS, prompts, strict=True) if length < longest]
    assert found(tmp_path / "out") == left
    assert metrics["judged"] == len(left) < metrics["looked_at"]


def test_the_first_rows_are_looked_at(rows, student, machine, tmp_path, monkeypatch):
    answering(monkeypatch, "no", "no")
    write_mistakes(student, rows, tmp_path / "out", replace(SETTINGS, rows=2), machine)
    assert found(tmp_path / "out") == [TASKS[0][0], TASKS[1][0]]


def test_the_second_turn_sees_the_students_own_first_answer():
    dialogue = build_dialogue(("Add 1 to 2.", "Add 3."), ("3",))
    assert [(m["role"], m["content"]) for m in dialogue] == [
        ("user", "Add 1 to 2."),
        ("assistant", "3"),
        ("user", "Add 3."),
    ]
