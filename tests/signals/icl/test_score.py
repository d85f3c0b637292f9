"""The in-context scores table: whose questions count, neutral scores, parts, refusals.

What would break: a row is scored on the questions of another task, or shards make another table
than one process.
"""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import read_table, row_id, write_table
from montessori.artifacts.schemas import PROBE, QUESTIONS, ROWS, SCORES
from montessori.errors import MontessoriError
from montessori.pairs.within_prompt import label_rows
from montessori.pipeline.machine import Machine
from montessori.pipeline.parts import Shard
from montessori.signals.icl.answers import answer_of, is_same_answer, remove_answer, tagged_answer
from montessori.signals.icl.questions import read_questions
from montessori.signals.icl.score import score_rows
from montessori.signals.icl.settings import IclParams
from montessori.signals.scoring import ScoringJob

ROOT = Path(__file__).parents[3]
STUDENT = ROOT / "data" / "micro" / "llama"
TEMPLATES = ROOT / "data" / "micro" / "prompts" / "icl"
SETTINGS = IclParams(
    templates="",
    answers=(" {answer}",),
    stop="\n\n",
    read="forced",
    measure="accuracy",
    neutral="none",
    questions=0,
    max_new_tokens=24,
    rows_per_part=2,
)
MACHINE = Machine(device="cpu", threads=1, generation_batch=16)


def row(asked: str, response: str, skill: str | None, dropped: str | None = None):
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": response}]
    return {
        "row_id": row_id(asked, response),
        "messages": messages,
        "instruction": asked,
        "response": response,
        "skill": skill,
        "prompt_id": "p",
        "sample": 0,
        "prompt": "",
        "raw": asked,
        "dropped": dropped,
        "response_tokens": 1,
    }


ROWS_SHOWN = [
    row("What is 2 plus 2?", "4", "sums"),
    row("What is 30 plus 12?", "The answer is 42.", "sums"),
    row("What is the opposite of hot?", "cold", "words"),
    row("What is 1 plus 1?", "", "sums", dropped="response empty"),
]


def question(task, text, target):
    return {
        "question_id": text,
        "task": task,
        "skill": None,
        "input": text,
        "target": target,
        "response": None,
        "closed": True,
    }


ASKED = [
    question("sums", "What is 3 plus 4?", "7"),
    question("sums", "What is 5 plus 1?", "7"),  # wrong on purpose
    question("words", "What is the opposite of tall?", "short"),
]


@pytest.fixture
def scored(tmp_path):
    frame = pl.DataFrame(ROWS_SHOWN, schema=PROBE)
    write_table(frame, tmp_path / "rows" / "rows.parquet", PROBE)
    table = pl.DataFrame(ASKED, schema=QUESTIONS)
    write_table(table, tmp_path / "tasks" / "questions.parquet", QUESTIONS)
    reference = pl.DataFrame(
        [
            {k: v for k, v in row(q["input"], q["target"], q["task"]).items() if k in ROWS}
            for q in ASKED
        ],
        schema=ROWS,
    )
    write_table(reference, tmp_path / "reference" / "rows.parquet", ROWS)

    def go(questions="tasks", settings=SETTINGS, shard=None, out="out"):
        job = ScoringJob(
            inputs={
                "student": STUDENT,
                "rows": tmp_path / "rows",
                "questions": tmp_path / questions,
                "templates": TEMPLATES,
            },
            out=tmp_path / out,
            work=tmp_path / "work",
            machine=MACHINE,
            shard=Shard.parse(shard or "1/1"),
        )
        metrics = score_rows(job, settings)
        if metrics is None:
            return None, None
        return read_table(tmp_path / out / "scores.parquet", SCORES), metrics

    return go


def test_a_draft_is_scored_on_its_own_task(scored):
    scores, metrics = scored()
    assert scores.select("row_id", "reference").rows() == [
        (each["row_id"], "all") for each in ROWS_SHOWN[:3]
    ]
    values = scores["score"].to_list()
    # two sums, of which one has a wrong target; one opposite
    assert {v * 2 for v in values[:2]} <= {0.0, 1.0}
    assert values[2] in (0.0, 1.0)
    assert scores["neutral"].null_count() == 3
    assert (metrics["rows"], metrics["student_calls"]) == (3, 2 + 2 + 1)


def test_a_probe_row_is_scored_on_the_whole_reference_set_and_each_skill(scored):
    settings = replace(SETTINGS, measure="probability", neutral="zero-shot")
    scores, metrics = scored("reference", settings)
    assert scores["reference"].to_list() == ["all", "sums", "words"] * 3
    for _, group in scores.group_by("row_id"):
        by = dict(group.select("reference", "score").iter_rows())
        assert by["all"] == pytest.approx((2 * by["sums"] + by["words"]) / 3)
    whole = scores.filter(pl.col("reference") == "all")
    assert whole["neutral"].n_unique() == 1
    assert whole["neutral"].null_count() == 0
    assert metrics["student_calls"] == 9
    sides = label_rows(scores, pl.DataFrame(ROWS_SHOWN, schema=PROBE))
    assert sides["side"].to_list() == [
        (score > neutral) - (score < neutral)
        for score, neutral in whole.select("score", "neutral").iter_rows()
    ]


def test_shards_and_parts_make_the_same_table(scored, tmp_path):
    whole, metrics = scored(out="whole")
    assert scored(shard="2/2")[0] is None
    assert not (tmp_path / "out").exists()
    parts, same = scored(shard="1/2")
    assert parts.equals(whole)
    assert same == metrics
    assert metrics["parameters"] > 1e6
    other, took = scored(settings=replace(SETTINGS, rows_per_part=99), out="other")
    assert took == metrics
    assert other.equals(whole)


def test_a_task_without_questions_and_empty_sets_are_refused(scored, tmp_path):
    table = pl.DataFrame(ASKED[:2], schema=QUESTIONS)
    write_table(table, tmp_path / "few" / "questions.parquet", QUESTIONS)
    with pytest.raises(MontessoriError, match="no questions for the task 'words'"):
        scored("few")
    write_table(table.clear(), tmp_path / "none" / "questions.parquet", QUESTIONS)
    with pytest.raises(MontessoriError, match="there are no questions"):
        scored("none")
    dropped = pl.DataFrame(ROWS_SHOWN[3:], schema=PROBE)
    write_table(dropped, tmp_path / "rows" / "rows.parquet", PROBE)
    with pytest.raises(MontessoriError, match="no kept row"):
        scored()
    assert not (tmp_path / "out").exists()


def test_rows_that_all_score_the_same_are_told(scored, tmp_path):
    table = pl.DataFrame(ASKED, schema=QUESTIONS).with_columns(target=pl.lit("no such answer"))
    write_table(table, tmp_path / "hard" / "questions.parquet", QUESTIONS)
    _, metrics = scored("hard")
    assert metrics["all_tie"]
    assert metrics["tasks_tied"] == ["sums", "words"]


def test_a_worked_reference_is_an_open_question(tmp_path):
    rows = [row("Add 3 and 4, then 5.", "3 + 4 = 7\n7 + 5 = 12\n#### 12", "sums")]
    frame = pl.DataFrame([{k: v for k, v in r.items() if k in ROWS} for r in rows], schema=ROWS)
    write_table(frame, tmp_path / "rows.parquet", ROWS)
    asked = read_questions(tmp_path)
    assert asked.select("target", "closed").rows() == [("12", False)]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so <ans>1</ans> no, <ans> 2 </ans>", "2"),
        ("3 + 4 = 7\n#### 7", "7"),
        ("I think the answer is 7.", "7."),
        (" 7 ", "7"),
        ("<ans></ans>", "<ans></ans>"),
    ],
)
def test_answers_are_found(text, answer):
    assert answer_of(text) == answer


def test_answers_are_compared_without_their_edges():
    assert is_same_answer("7.", " 7")
    assert is_same_answer("(b)", "(B)")
    assert not is_same_answer("17", "7")
    assert remove_answer("a <ans>1</ans>") == "a"
    assert tagged_answer("<ans> </ans>") is None
