"""The exam: what is asked, what is right, what is written, and what is refused.

What would break: a student is examined on questions it may have been trained on, or its answer is
marked by another question's solution.
"""

from functools import partial
from pathlib import Path

import polars as pl
import pytest

from montessori.arte.settings import ExamParams, TaskParams
from montessori.arte.sources import load_tasks
from montessori.arte.tasks import Item, Task, write_tasks
from montessori.artifacts.files import read_table, write_json
from montessori.errors import MontessoriError
from montessori.evals.exam import (
    ANSWERS,
    exam_metrics,
    mark_answers,
    read_test_questions,
    take_exam,
)
from montessori.generate import Generated
from montessori.generate.engines import open_with_ledger
from montessori.generate.settings import GenerationParams
from montessori.lab.grader import recognise_task
from montessori.lab.task import bucket_of

SETTINGS = ExamParams("transformers", 16)
SEEDS, VALIDATION = (Item("s", "0"),), (Item("v", "0"),)
TASKS = [
    Task(
        "sums",
        "Add.",
        SEEDS,
        VALIDATION,
        (Item("1 + 1?", "2", "1 + 1 = 2\n#### 2"), Item("2 + 3?", "5")),
        closed=False,
    ),
    Task(
        "days", "Days.", (Item("s2", "x"),), (Item("v2", "x"),), (Item("After Monday?", "Tuesday"),)
    ),
]
WRITTEN = {
    "1 + 1?": "one and one\n#### 2",
    "2 + 3?": "2 + 3 = 6\n#### 6",
    "After Monday?": "tuesday.\nSo it is.",
}


class Scripted:
    """An engine that says what is written for a question, and remembers what it was asked."""

    special_texts = ()

    def __init__(self) -> None:
        self.dialogues: list = []

    def render_prompts(self, dialogues):
        self.dialogues += dialogues
        return [dialogue[-1]["content"] for dialogue in dialogues]

    def generate(self, requests, sampling, on_done=None):
        assert sampling.temperature == 0
        assert sampling.max_new_tokens == 16
        return [Generated(WRITTEN[one.prompt], 5, n != 1, n, 0) for n, one in enumerate(requests)]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    source = tmp_path / "source.json"
    source.write_text("[]")
    write_tasks(TASKS, source, tmp_path / "tasks" / "mine")
    return tmp_path / "tasks" / "mine"


def test_each_question_is_a_dialogue_of_one_turn_and_marked_as_in_context_answers_are(
    tasks: Path, student: Path, tmp_path: Path
) -> None:
    engine, out = Scripted(), tmp_path / "out"
    found = take_exam(lambda model: engine, student, tasks, out, tmp_path / "o.csv", SETTINGS)
    assert engine.dialogues == [[{"role": "user", "content": text}] for text in WRITTEN]
    answers = read_table(out / "answers.parquet", ANSWERS)
    assert answers["correct"].to_list() == [True, False, True]  # of a closed task the first line
    assert dict(answers.select("input", "answer").iter_rows()) == WRITTEN
    assert found == {
        "accuracy": pytest.approx(200 / 3),
        "mean_of_tasks": 75.0,
        "tasks": {"sums": 50.0, "days": 100.0},
        "questions": 3,
        "cut_off": 1,
    }
    outcomes = pl.read_csv(tmp_path / "o.csv")
    assert set(outcomes["benchmark"]) == {"exam mine"}
    assert dict(outcomes.select("item_id", "value").iter_rows()) == dict(
        zip(answers["question_id"], [100.0, 0.0, 100.0], strict=True)
    )


def test_a_real_model_takes_it_and_what_it_wrote_is_kept(
    tasks: Path, student: Path, machine, tmp_path: Path
) -> None:
    ledger = tmp_path / "work" / "a.jsonl"
    opened = partial(
        open_with_ledger,
        generation=GenerationParams("transformers"),
        machine=machine,
        secret=lambda name: None,
        ledger=ledger,
    )
    first = take_exam(opened, student, tasks, tmp_path / "one", tmp_path / "1.csv", SETTINGS)
    assert first["questions"] == 3
    lines = ledger.read_text()
    take_exam(opened, student, tasks, tmp_path / "two", tmp_path / "2.csv", SETTINGS)
    assert ledger.read_text() == lines  # nothing was written twice
    one, two = (tmp_path / name / "answers.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_tasks_without_test_questions_are_refused_before_a_model_is_opened(
    student: Path, tmp_path: Path
) -> None:
    source = write_json(tmp_path / "s.json", []) or tmp_path / "s.json"
    bare = [Task("t", "d", SEEDS, VALIDATION)]
    write_tasks(bare, source, tmp_path / "bare")
    with pytest.raises(MontessoriError, match="the tasks bare have no test questions") as caught:
        take_exam(
            _no_model, student, tmp_path / "bare", tmp_path / "out", tmp_path / "o.csv", SETTINGS
        )
    assert "params.yaml: exams" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "o.csv").exists()


def _no_model(model: Path):
    raise AssertionError("the model was opened")


def test_a_lab_recipe_draws_test_questions_of_the_test_bucket(tmp_path: Path) -> None:
    recipe = {"kind": "lab-tasks", "families": ["metres", "story_add"], "test": 7}
    write_json(tmp_path / "r.json", recipe)
    tasks = load_tasks(tmp_path / "r.json", TaskParams(3, 5, 0))
    write_json(tmp_path / "r.json", recipe | {"test": 0})
    without = load_tasks(tmp_path / "r.json", TaskParams(3, 5, 0))
    assert [(t.seeds, t.validation) for t in tasks] == [(t.seeds, t.validation) for t in without]
    for task in tasks:
        keys = [recognise_task([each.input]).key for each in task.test]
        assert {bucket_of(key) for key in keys} == {"test"}
        assert len({*keys}) == len(keys) == 7
    write_tasks(tasks, tmp_path / "r.json", tmp_path / "out")
    assert (
        read_test_questions(tmp_path / "out")["task"].to_list()
        == ["metres"] * 7 + ["story_add"] * 7
    )
    held = (tmp_path / "out" / "evals" / "metres.jsonl").read_text().splitlines()
    assert len(held) == 5 + 7
    write_json(tmp_path / "r.json", recipe | {"test": -1})
    with pytest.raises(MontessoriError, match="test: -1 is below 0"):
        load_tasks(tmp_path / "r.json", TaskParams(3, 5, 0))


def test_metrics_are_of_questions_and_of_tasks() -> None:
    rows = [("a", True)] * 3 + [("b", False)]
    table = pl.DataFrame(
        [
            {
                "question_id": str(n),
                "task": task,
                "input": "",
                "target": "",
                "answer": "",
                "finished": True,
                "correct": right,
            }
            for n, (task, right) in enumerate(rows)
        ],
        schema=ANSWERS,
    )
    found = exam_metrics(table)
    assert (found["accuracy"], found["mean_of_tasks"], found["cut_off"]) == (75.0, 50.0, 0)


def test_answers_belong_to_their_questions(tasks: Path) -> None:
    questions = read_test_questions(tasks)
    written = [Generated(text, 1, True, n, 0) for n, text in enumerate(("#### 2", "5", "Monday"))]
    assert mark_answers(questions, written)["correct"].to_list() == [True, True, False]
