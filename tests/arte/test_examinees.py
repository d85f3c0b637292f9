"""Examinees: a model takes the validation questions with several numbers of solved examples.

What would break: questions are ranked by outcomes of another task, another number of examples or
another model than the examinee's name says, and ARTE keeps the wrong questions.
"""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from montessori.arte import examinees
from montessori.arte.tasks import Item, Task, write_tasks
from montessori.artifacts.files import read_json, read_table, row_id
from montessori.artifacts.schemas import OUTCOMES
from montessori.errors import MontessoriError
from montessori.signals.icl.settings import ExamineeParams, IclParams
from montessori.signals.scoring import ScoringJob

ROOT = Path(__file__).parents[2]
ICL = IclParams(
    templates="",
    answers=("{answer}",),
    stop="\n\n",
    read="forced",
    measure="probability",
    neutral="none",
    questions=0,
    max_new_tokens=16,
    rows_per_part=8,
)
SUMS = Task(
    "sums",
    "sums",
    seeds=(Item("1 + 1?", "2"), Item("2 + 2?", "4", "2 + 2 = 4")),
    validation=(Item("3 + 3?", "6"), Item("4 + 4?", "8"), Item("5 + 5?", "10")),
)
WORDS = Task(
    "words",
    "words",
    seeds=(Item("opposite of hot?", "cold"), Item("opposite of up?", "down")),
    validation=(Item("opposite of big?", "small"),),
)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """The folder of two tasks, as the stage `task` writes it."""
    (tmp_path / "source.json").write_text("[]")
    write_tasks([SUMS, WORDS], tmp_path / "source.json", tmp_path / "tasks")
    return tmp_path / "tasks"


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What a scripted student was asked; it is right once it is shown enough solved examples.

    3 + 3 needs none, 4 + 4 and opposites one, 5 + 5 two.
    """
    asked = []

    def read(student, texts, trials, settings):
        answers = []
        for trial in trials:
            shots = trial.prefix.count("?")
            questions = trial.questions["input"].to_list()
            asked.append(
                {"prefix": trial.prefix, "questions": questions, "measure": settings.measure}
            )
            needed = {"3 + 3?": 0, "4 + 4?": 1, "5 + 5?": 2, "opposite of big?": 1}
            answers.append([float(shots >= needed[text]) for text in questions])
        return answers

    student = SimpleNamespace(tokens=700, parameters=99)
    opened = SimpleNamespace(open=lambda model, machine, stop: student)
    monkeypatch.setattr(examinees, "Student", opened)
    monkeypatch.setattr(examinees, "score_trials", read)
    return asked


def take(
    tasks: Path, out: Path, shots: tuple[int, ...], machine, model: Path | None = None
) -> dict:
    """The stage's function, with the lab's templates."""
    model = model or tasks.parent / "model"
    model.mkdir(exist_ok=True)
    templates = ROOT / "data" / "micro" / "prompts" / "icl"
    inputs = {"model": model, "tasks": tasks, "templates": templates}
    job = ScoringJob(inputs, out, out.parent / "work", machine)
    return examinees.take_questions(job, "llama", ExamineeParams(shots), ICL)


def test_each_number_of_shots_is_an_examinee_of_its_own(tasks, tmp_path, readings, machine):
    metrics = take(tasks, tmp_path / "out", (0, 1, 2), machine)
    assert metrics == {
        "accuracy": {"llama-0": 1 / 4, "llama-1": 3 / 4, "llama-2": 1.0},
        "tokens_forward": 700,
        "parameters": 99,
    }
    outcomes = read_table(tmp_path / "out" / "outcomes.parquet", OUTCOMES)
    right = outcomes.filter(pl.col("correct")).group_by("examinee", maintain_order=True).len()
    assert right.rows() == [("llama-0", 1), ("llama-1", 3), ("llama-2", 4)]
    assert read_json(tmp_path / "out" / "manifest.json")["facts"] == {"rows": 12}


def test_an_outcome_belongs_to_its_question(tasks, tmp_path, readings, machine):
    take(tasks, tmp_path / "out", (1,), machine)
    outcomes = read_table(tmp_path / "out" / "outcomes.parquet", OUTCOMES)
    expected = [("sums", item, item.target != "10") for item in SUMS.validation]
    expected += [("words", item, True) for item in WORDS.validation]
    assert outcomes.select("task", "question_id", "correct").rows() == [
        (task, row_id(task, item.input, item.target), right) for task, item, right in expected
    ]


def test_examples_are_the_first_seeds_of_the_questions_own_task(tasks, tmp_path, readings, machine):
    take(tasks, tmp_path / "out", (0, 2), machine)
    nothing, nothing_either, sums, words = readings
    assert nothing["prefix"] == nothing_either["prefix"] == ""
    assert sums["questions"] == ["3 + 3?", "4 + 4?", "5 + 5?"]
    assert sums["prefix"].index("1 + 1?") < sums["prefix"].index("2 + 2?")
    assert "2 + 2 = 4" in sums["prefix"], "a worked seed is shown with its working"
    assert "opposite" not in sums["prefix"]
    assert words["questions"] == ["opposite of big?"]
    assert "cold" in words["prefix"]


def test_an_examinee_is_marked_right_or_wrong_whatever_icl_measures(
    tasks, tmp_path, readings, machine
):
    take(tasks, tmp_path / "out", (1,), machine)
    assert {each["measure"] for each in readings} == {"accuracy"}


def test_more_shots_than_seeds_are_refused_before_a_model_is_opened(tasks, tmp_path, machine):
    with pytest.raises(MontessoriError, match="sums has 2 seed questions, but .* shown 3") as error:
        take(tasks, tmp_path / "out", (1, 3), machine)
    assert error.value.where == "params.yaml, key examinee.shots"
    assert "task.seeds" in error.value.next
    assert not (tmp_path / "out").exists()


def test_a_real_student_takes_the_questions(tasks, tmp_path, student, machine):
    """A random model: what counts is that every question has an outcome and tokens are counted."""
    metrics = take(tasks, tmp_path / "out", (0, 2), machine, student)
    outcomes = read_table(tmp_path / "out" / "outcomes.parquet", OUTCOMES)
    assert outcomes["question_id"].n_unique() == 4
    assert outcomes.group_by("examinee", maintain_order=True).len().rows() == [
        ("llama-0", 4),
        ("llama-2", 4),
    ]
    assert metrics["tokens_forward"] > 0
    assert metrics["parameters"] == 98624
