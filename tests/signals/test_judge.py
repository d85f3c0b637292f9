"""A judge of training rows: marks read from verdicts, the lab's checker, and judges that fail.

What would break: rows get marks from malformed verdicts, or a judge that cannot judge makes
preferences.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import new_folder, read_table, write_json, write_table
from montessori.artifacts.schemas import PROBE, SCORES
from montessori.errors import MontessoriError
from montessori.generate.engines import open_engine
from montessori.generate.settings import GenerationParams
from montessori.pipeline.machine import Machine
from montessori.signals.judge import score_by_judge
from montessori.signals.judge_marks import load_judge_template, read_mark, render_question
from montessori.signals.settings import JudgeSignalParams
from montessori.writing.order import Order
from tests.generate.fake_server import FakeServer
from tests.signals.conftest import TellingEngine
from tests.tiny_rows import probe_frame

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "data/micro/prompts/judge_row.jinja"
SETTINGS = JudgeSignalParams(
    template="",
    samples=1,
    max_new_tokens=64,
    temperature=0.0,
    top_p=1.0,
    max_malformed=0.5,
    rows_per_part=10,
)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("All hold.\nScore: 5", 5.0),
        ("score: 3.5/5.", 3.5),
        ("**Score:** 4", 4.0),
        ("Score: 1\nOn reflection:\nScore: 2", 2.0),
        ("Score: 0", 0.0),
        ("Score: 6", None),
        ("Score: -1", None),
        ("Score: .5", None),
        ("Score:\n\n3", None),
        ("Score: 10/10", None),
        ("Score: good", None),
        ("I would give it 4 points.", None),
        ("The score: 4 would be right if", None),
        ("", None),
    ],
)
def test_the_last_line_with_a_mark_counts(text, mark):
    assert read_mark(text) == mark


def order_of(probe, judge, work, open_engine):
    return Order(
        name="test",
        inputs={"probe": probe, "judge": judge, "template": TEMPLATE},
        work=work,
        seed=0,
        generation=GenerationParams("transformers"),
        open_engine=open_engine,
    )


@pytest.fixture
def judged(tmp_path, probe):
    """A function that lets an engine judge the tiny probe and gives (scores, metrics)."""

    def run(
        engine, settings=SETTINGS, out="out", judge=None, rows=probe, generation="transformers"
    ):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / "config.json").write_text("{}")
        order = order_of(
            rows, judge or tmp_path / "model", tmp_path / "work", lambda ledger: engine
        )
        order = replace(order, generation=GenerationParams(generation))
        metrics = score_by_judge(order, settings, tmp_path / out)
        return read_table(tmp_path / out / "scores.parquet", SCORES), metrics

    return run


def verdict(asked: str, k: int) -> str:
    """Sums are worth 4, spelling 2; the second sample is a point lower, without sense for 27."""
    if "What is 27" in asked or ("What is 25" in asked and k):
        return "I cannot say."
    return f"Fine.\nScore: {(4 if 'What is' in asked else 2) - k}"


def test_a_row_gets_the_mean_of_its_readable_marks(judged):
    engine = TellingEngine(verdict)
    scores, metrics = judged(engine, replace(SETTINGS, samples=2, temperature=1.0))
    marks = dict(zip(scores["row_id"], scores["score"], strict=True))
    ids = probe_frame(12, 3)["row_id"]
    assert marks[ids[0]] == 3.5
    assert marks[ids[3]] == 1.5
    assert marks[ids[25 - 1]] == 3.5
    assert ids[1] not in marks  # dropped in the probe
    assert metrics["judge_calls"] == 70
    assert metrics["malformed"] == 0  # rows have even numbers in sums
    assert metrics["oracle"] is False
    assert "12 + 15 = 27\n#### 27" in engine.asked[11]  # the judge saw the response


def test_malformed_verdicts_are_counted_and_rows_without_any_mark_left_out(judged):
    def says(asked, k):
        odd = "What is 6 plus" in asked or ("What is 8 plus" in asked and k)
        return "Hm." if odd else f"Score: {'1' if 'Spell' in asked else '4'}"

    scores, metrics = judged(TellingEngine(says), replace(SETTINGS, samples=2, temperature=1.0))
    assert metrics["malformed"] == 3
    assert metrics["rows_without_mark"] == 1
    ids = probe_frame(12, 3)["row_id"]
    marks = dict(zip(scores["row_id"], scores["score"], strict=True))
    assert ids[6] not in marks
    assert marks[ids[8]] == 4.0  # of its one readable verdict
    assert scores.height == 34


def test_too_many_malformed_verdicts_stop_the_stage(judged, tmp_path):
    with pytest.raises(MontessoriError, match="35 of 35 verdicts have no mark") as error:
        judged(TellingEngine(lambda asked, k: "Nice row!"))
    assert "judge_signal.max_malformed" in error.value.expected
    assert "thinking" not in error.value.next
    assert not (tmp_path / "out").exists()


def test_a_judge_that_only_thinks_is_told_how_not_to(judged):
    class Thinker(TellingEngine):
        def generate(self, *arguments):
            return [replace(one, thought="Hm.") for one in super().generate(*arguments)]

    with pytest.raises(MontessoriError, match="35 of 35 verdicts have no mark") as error:
        judged(Thinker(lambda asked, k: ""))
    assert "raise judge_signal.max_new_tokens, or switch thinking off" in error.value.next


def test_a_judge_that_ties_everything_is_an_error(judged, tmp_path):
    with pytest.raises(MontessoriError, match=r"ties everything: in all 12 prompts .* \(1 diff"):
        judged(TellingEngine(lambda asked, k: "Score: 5"))
    assert not (tmp_path / "out").exists()


def test_a_stopped_judge_continues_where_it_was(judged):
    whole, _ = judged(TellingEngine(verdict), out="whole")

    class Torn(TellingEngine):
        def generate(self, *arguments):
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().generate(*arguments)

    with pytest.raises(KeyboardInterrupt):
        judged(Torn(verdict))
    engine = TellingEngine(verdict)
    assert judged(engine)[0].equals(whole)
    assert engine.calls == 2  # of four parts two were done


def test_parts_by_another_engine_are_not_taken_up(judged):
    class Torn(TellingEngine):
        def generate(self, *arguments):
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().generate(*arguments)

    with pytest.raises(KeyboardInterrupt):
        judged(Torn(verdict), generation="transformers")
    engine = TellingEngine(verdict)
    judged(engine, generation="vllm")
    assert engine.calls == 4


def graded_probe(folder: Path) -> Path:
    """Rows of the lab: right, wrong in the right form, nothing, and no task at all."""
    frame = probe_frame(2, 2).with_columns(pl.lit(None, dtype=pl.String).alias("dropped"))
    texts = [
        ("What is 17 plus 25?", "42"),
        ("What is 17 plus 25?", "41"),
        ("What is 17 plus 25?", ""),
        ("Sing.", "La."),
    ]
    messages = [
        [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        for asked, said in texts
    ]
    frame = frame.with_columns(pl.Series("messages", messages, dtype=PROBE["messages"]))
    with new_folder(folder, {}) as temporary:
        write_table(frame, temporary / "rows.parquet", PROBE)
    return folder


def test_the_labs_checker_is_an_oracle_with_marks_by_hand(judged, tmp_path):
    judge = ROOT / "data/micro/judge.json"
    scores, metrics = judged(None, judge=judge, rows=graded_probe(tmp_path / "graded"))
    assert scores["score"].to_list() == pytest.approx([5.0, 1.5, 0.0, 0.0])
    assert metrics["oracle"] is True
    assert metrics["judge_calls"] == 4
    assert metrics["judge_tokens"] == 0


def test_a_file_that_names_no_judge_is_an_error(judged, tmp_path):
    write_json(tmp_path / "judge.json", {"kind": "oracle"})
    with pytest.raises(MontessoriError, match="'oracle'} is no judge"):
        judged(None, judge=tmp_path / "judge.json")


@pytest.mark.parametrize("text", ["Judge it.", "{{ instruction }}", "{{ answer }}", "{% if %}"])
def test_a_template_that_does_not_show_the_row_is_an_error(tmp_path, text):
    (tmp_path / "t.jinja").write_text(text)
    with pytest.raises(MontessoriError, match="does not show|does not render"):
        load_judge_template(tmp_path / "t.jinja")


def test_the_shipped_template_shows_the_row():
    template = load_judge_template(TEMPLATE)
    assert "<instruction>\nSing.\n</instruction>\n<response>\nLa.\n</response>" in render_question(
        "Sing.", "La.", template
    )


def test_a_small_model_runs_as_a_judge_and_is_found_unable(judged, student, machine):
    from montessori.generate.transformers_engine import TransformersEngine

    engine = TransformersEngine.open(student, machine)
    with pytest.raises(MontessoriError, match="of 35 verdicts have no mark"):
        judged(engine, replace(SETTINGS, max_new_tokens=8), judge=student)


def test_a_hosted_judge_pays_for_each_verdict_once(tmp_path, probe):
    def reply(turns, seed):
        return f"Fine.\nScore: {4 if 'What is' in turns[-1] else 2}", True

    machine, generation = Machine(server_requests=4), GenerationParams("transformers")
    with FakeServer(reply, faults=["500"], models=["gpt-4o"], key="k") as server:
        hosted = {"server": server.url, "model": "gpt-4o", "key_env": "KEY"}
        prices = {"usd_per_million": {"input": 1.0, "output": 1.0}}
        write_json(tmp_path / "judge" / "server.json", hosted | prices)
        engine = partial(open_engine, tmp_path / "judge", generation, machine, {"KEY": "k"}.get)
        order = order_of(probe, tmp_path / "judge", tmp_path / "work", engine)
        metrics = score_by_judge(order, SETTINGS, tmp_path / "out")
    scores = read_table(tmp_path / "out" / "scores.parquet", SCORES)
    assert set(scores["score"]) == {2.0, 4.0}
    assert len(server.answered) == 35 == metrics["judge_calls"]
    assert metrics["server"]["requests"] == 35
    assert metrics["server"]["usd"] > 0
    assert not list((tmp_path / "work").glob("*.jsonl"))
