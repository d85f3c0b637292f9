"""The preference set: which questions are kept, named fallbacks, refusals.

What would break: in-context scores are taken on questions that every examinee answers alike, so
they rank nothing, or on outcomes of the wrong examinee.
"""

import numpy as np
import polars as pl
import pytest

from montessori.arte.preference import write_preference
from montessori.arte.settings import PreferenceParams
from montessori.arte.tasks import Item, Task, write_tasks
from montessori.artifacts.files import read_table, row_id, write_table
from montessori.artifacts.schemas import OUTCOMES, QUESTIONS
from montessori.errors import MontessoriError

SETTINGS = PreferenceParams(questions=4, prior=1.0, iterations=300, fallback="error")
VALIDATION = tuple(Item(f"q{n}", str(n)) for n in range(10))
TASK = Task("t", "a task", (Item("s", "1"),), VALIDATION)
IDS = [row_id("t", item.input, item.target) for item in VALIDATION]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "source.json").write_text("[]")
    write_tasks([TASK], tmp_path / "source.json", tmp_path / "tasks")

    def go(correct, settings=SETTINGS, names=("m",)):
        records = [
            {"examinee": f"m-{e}", "task": "t", "question_id": IDS[q], "correct": bool(right)}
            for e, row in enumerate(correct)
            for q, right in enumerate(row)
        ]
        frame = pl.DataFrame(records, schema=OUTCOMES)
        write_table(frame, tmp_path / "examinees" / "m" / "outcomes.parquet", OUTCOMES)
        out = tmp_path / "out"
        metrics = write_preference(tmp_path / "tasks", tmp_path / "examinees", names, out, settings)
        return read_table(out / "questions.parquet", QUESTIONS), metrics

    return go


def outcomes(seed=0):
    """20 examinees; questions 0-3 follow ability, 4-7 are coins, 8 all right, 9 all wrong."""
    rng = np.random.default_rng(seed)
    ability = np.linspace(-2, 2, 20)
    steep = 1 / (1 + np.exp(-4 * (ability[:, None] - np.array([-0.9, -0.3, 0.3, 0.9]))))
    sharp = rng.random((20, 4)) < steep
    coins = rng.random((20, 4)) < 0.5
    return np.hstack([sharp, coins, np.ones((20, 1)), np.zeros((20, 1))]).astype(bool)


def test_the_most_discriminative_questions_are_kept_in_order(run):
    kept, metrics = run(outcomes())
    assert kept["input"].to_list() == ["q0", "q1", "q2", "q3"]
    assert metrics["tasks"]["t"]["ranking"] == "2pl"
    assert metrics["tasks"]["t"]["all_alike"] == 2
    assert metrics["fallbacks"] == 0


def test_a_fit_that_does_not_converge_is_an_error_or_a_named_fallback(run):
    short = PreferenceParams(questions=4, prior=1.0, iterations=1, fallback="error")
    with pytest.raises(MontessoriError, match="task t does not converge"):
        run(outcomes(), short)
    fallback = PreferenceParams(questions=4, prior=1.0, iterations=1, fallback="correlation")
    kept, metrics = run(outcomes(), fallback)
    assert metrics["fallbacks"] == 1
    assert metrics["tasks"]["t"]["ranking"] == "correlation"
    assert metrics["tasks"]["t"]["reason"]
    assert kept["input"].to_list() == ["q0", "q1", "q2", "q3"]


def test_questions_that_all_answer_alike_come_last(run):
    kept, metrics = run(outcomes(), PreferenceParams(9, 1.0, 300, "error"))
    assert metrics["tasks"]["t"]["kept_all_alike"] == 1
    assert {"q8", "q9"} - {*kept["input"]} == {"q9"}
    assert metrics["tasks"]["t"]["least_discrimination"] > 0  # of those that separate examinees


def test_a_task_that_all_answer_alike_is_refused(run):
    with pytest.raises(MontessoriError, match="all 5 examinees answer every question"):
        run(np.ones((5, 10), dtype=bool))


def test_missing_examinees_and_answers_are_refused(run):
    with pytest.raises(MontessoriError, match="no examinees"):
        run(outcomes(), names=())
    with pytest.raises(MontessoriError, match="not answered every question"):
        run(outcomes()[:, :9])
