"""Drafts and tailored data with a scripted teacher: format, filters, exact counts, resume.

What would break: eval items or validation questions get into what students are trained on, a task
ends with fewer rows than asked, or a stopped run writes other rows than a whole one.
"""

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from montessori.arte import elicit
from montessori.arte.produce import QuestionSettings, write_drafts, write_tailored
from montessori.arte.prompts import Prompts, parse_questions
from montessori.arte.settings import DraftParams, ElicitParams, TailorParams
from montessori.arte.tasks import Item, Task, write_tasks
from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import DRAFTS, PROBE
from montessori.errors import MontessoriError
from montessori.filters.settings import DecontaminationParams
from montessori.formats.recorded import read_format
from montessori.generate import Generated
from montessori.generate.local import LocalModel
from montessori.generate.settings import GenerationParams
from montessori.writing.order import Order
from montessori.writing.settings import FilterParams
from tests.tiny_models import tiny_tokenizer

ROOT = Path(__file__).parents[2]
ELICIT = ElicitParams(
    templates="",
    per_call=2,
    wave=4,
    max_new_tokens=200,
    temperature=1.0,
    top_p=1.0,
    rationale_max_new_tokens=100,
    rationale_temperature=0.0,
)
SETTINGS = QuestionSettings(
    elicit=ELICIT,
    filter=FilterParams(3, 400, 1.0, (), False, 0.0, False),
    decontamination=DecontaminationParams(ngram=0, limit=0.5),
)
TASKS = [
    Task("sums", "sums", (Item("seed 1", "1"), Item("seed 2", "2")), (Item("held 5", "5"),)),
    Task("words", "words", (Item("seed w", "w"),), (Item("held w", "w"),), strategy="Be brief."),
]
SPECIAL = json.loads((ROOT / "data/micro/prompts/elicit/reasoning.json").read_text())["special"]
QUESTION = "<Question_{n}><input>{text}</input><target>{target}</target></Question_{n}>"


class Teacher(LocalModel):
    """Writes numbered questions by its seed, and one rationale a prompt."""

    def __init__(self, broken=False):
        self.tokenizer, self.broken, self.calls = tiny_tokenizer(), broken, 0
        self.asked = 0  # calls for questions, each with a seed

    def generate(self, requests, sampling, on_done=None):
        self.calls += 1
        made = []
        for i, request in enumerate(requests):
            prompt = self.tokenizer.decode(request.ids)
            self.asked += len(request.seeds) if "Write more questions." in prompt else 0
            for k, seed in enumerate(request.seeds):
                text, finished = self._text(prompt, random.Random(seed))
                made.append(Generated(text, 10, finished, i, k))
        return made

    def _text(self, prompt, rng):
        if "Write more questions." not in prompt:
            asked = prompt.split("<|user|>")[1].split("<|end|>")[0]
            if "seven" in asked:
                return "no answer in tags", True
            return f"as asked: {asked[-12:]} <ans>{len(asked)}</ans>", "endless" not in asked
        if self.broken:
            return "I cannot do that.", True
        first = 1 + max(int(n) for n in re.findall(r"<Question_(\d+)>", prompt))
        word = rng.choice(["one", "the same", "the same", "seven", "held 5", "seed 1", "endless"])
        texts = [f"{word} {rng.randrange(10**6)}", word if " " in word else f"x {rng.random():.9f}"]
        return "\n".join(
            QUESTION.format(n=first + n, text=text, target=n) for n, text in enumerate(texts)
        ), True


def evals_of(folder: Path, *texts: str) -> None:
    """Eval items of one turn, in the folder that an order reads."""
    lines = [json.dumps({"item_id": f"e{n}", "turns": [text]}) for n, text in enumerate(texts)]
    (folder / "evals").mkdir(exist_ok=True)
    (folder / "evals" / "bench.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def order(tmp_path) -> Order:
    (tmp_path / "source.json").write_text("[]")
    evals_of(tmp_path, "Which of these is an item of a benchmark?")
    write_tasks(TASKS, tmp_path / "source.json", tmp_path / "tasks")
    tiny_tokenizer().save_pretrained(tmp_path / "teacher")
    teacher = Teacher()
    return Order(
        name="arte",
        work=tmp_path / "work",
        seed=0,
        inputs={
            "teacher": tmp_path / "teacher",
            "tasks": tmp_path / "tasks",
            "evals": tmp_path / "evals",
            "templates": ROOT / "data" / "micro" / "prompts" / "elicit",
        },
        generation=GenerationParams("transformers"),
        open_engine=lambda ledger: teacher,
    )


def drafts_of(order, out, questions=7, settings=SETTINGS, **changes):
    order, draft = replace(order, **changes), DraftParams(questions, attempts=8.0)
    metrics = write_drafts(order, settings, draft, out)
    return read_table(out / "rows.parquet", DRAFTS), metrics


def test_drafts_have_the_questions_asked_for_and_every_rationale(order, tmp_path):
    rows, metrics = drafts_of(order, tmp_path / "out")
    assert rows.group_by("skill").agg(pl.col("question_id").n_unique()).sort("skill").rows() == [
        ("sums", 7),
        ("words", 7),
    ]
    special = json.loads((order.inputs["templates"] / "reasoning.json").read_text())["special"]
    for _, group in rows.group_by("question_id"):
        assert sorted(group["style"]) == [0, 1, 2, 3]
        asked = group["instruction"][0]
        assert {*group["naive"]} == {f"{asked}\nLet's think step by step."}
        for style, text in group.select("style", "response").iter_rows():
            assert f"{asked}\n{special[style]}"[-12:] in text
    assert (metrics["questions"], metrics["incomplete"]) == (14, 0)
    assert metrics["rows"] == rows.height == 56


def test_the_prompt_of_a_task_is_one_and_its_questions_have_one_number(order, tmp_path):
    rows, _ = drafts_of(order, tmp_path / "out")
    sums = rows.filter(pl.col("skill") == "sums")
    assert sums["prompt"].unique().to_list() == [
        "Task: sums.\nWrite more questions.\n"
        "<Question_1><input>seed 1</input><target>1</target></Question_1>\n"
        "<Question_2><input>seed 2</input><target>2</target></Question_2>"
    ]
    assert all(raw.startswith("<Question_3><input>") for raw in sums["raw"])
    assert all(raw.endswith("</target></Question_3>") for raw in sums["raw"])


def test_seeds_validation_questions_and_broken_rationales_are_dropped(order, tmp_path):
    rows, metrics = drafts_of(order, tmp_path / "out", questions=25)
    dropped = metrics["dropped"]
    assert {"held out", "duplicate", "rationale no answer", "rationale endless"} <= {*dropped}
    words = " ".join(rows["instruction"])
    assert "seven" not in words
    assert "endless" not in words
    assert not {"held 5", "seed 1"} & {*rows.filter(pl.col("skill") == "sums")["instruction"]}


def test_eval_items_are_dropped_from_questions_and_from_rationales(order, tmp_path):
    free, metrics = drafts_of(order, tmp_path / "free")
    first = free.filter(pl.col("skill") == "sums")["instruction"][0]
    evals_of(tmp_path, first)
    rows, metrics = drafts_of(order, tmp_path / "asked")
    assert first not in rows["instruction"].to_list()
    assert metrics["dropped"]["eval item"] == 1
    said = free["response"][0].split(" <ans>")[0]
    evals_of(tmp_path, f"A benchmark says: {said}, and so on.")
    runs = DecontaminationParams(ngram=4, limit=1.0)
    rows, metrics = drafts_of(
        order, tmp_path / "said", settings=replace(SETTINGS, decontamination=runs)
    )
    assert metrics["dropped"]["rationale eval item"] > 0
    assert not any(said in text for text in rows["response"])


def test_a_task_that_got_too_few_goes_on_with_more_attempts(order, tmp_path):
    teacher = Teacher()
    counted = replace(order, open_engine=lambda ledger: teacher)
    with pytest.raises(MontessoriError, match=r"raise draft\.attempts|has \d+ of 18"):
        write_drafts(counted, SETTINGS, DraftParams(18, attempts=1.0), tmp_path / "out")
    before = teacher.calls
    again = write_drafts(counted, SETTINGS, DraftParams(18, attempts=8.0), tmp_path / "out")
    other = Teacher()
    alone = replace(order, open_engine=lambda ledger: other)
    whole = write_drafts(alone, SETTINGS, DraftParams(18, 8.0), tmp_path / "whole")
    assert again == whole
    assert teacher.calls == other.calls  # what was written before is not written again
    assert 0 < before < other.calls


def test_questions_that_lack_a_rationale_are_counted(order, tmp_path):
    class Lacking(Teacher):
        def _text(self, prompt, rng):
            text, finished = super()._text(prompt, rng)
            step = "Write more questions." not in prompt and SPECIAL[2][-12:] in text
            return ("no tags", finished) if step else (text, finished)

    rows, metrics = drafts_of(order, tmp_path / "out", open_engine=lambda ledger: Lacking())
    assert metrics["incomplete"] == metrics["questions"] == 14
    assert set(rows["style"]) == {0, 1, 3}


def test_finished_waves_are_taken_up_and_give_the_same_rows(order, tmp_path):
    first = Teacher()
    whole, _ = drafts_of(order, tmp_path / "whole", 36, open_engine=lambda ledger: first)
    calls = [0]

    class Stopped(Teacher):
        def generate(self, requests, sampling, on_done=None):
            calls[0] += 1
            if calls[0] == 4:
                raise KeyboardInterrupt
            return super().generate(requests, sampling, on_done)

    with pytest.raises(KeyboardInterrupt):
        drafts_of(order, tmp_path / "out", 36, open_engine=lambda ledger: Stopped())
    assert not (tmp_path / "out").exists()
    finished = sorted(order.work.rglob("*.parquet"))
    assert len(finished) == 2 * elicit.AHEAD  # of both tasks
    finished[-2].unlink()  # not the last one, which stays
    teacher = Teacher()
    again, _ = drafts_of(order, tmp_path / "out", 36, open_engine=lambda ledger: teacher)
    assert again.equals(whole)
    kept = len(finished) - 1  # waves that are not written again
    assert teacher.asked == first.asked - kept * ELICIT.wave
    assert again.filter(pl.col("instruction") == "the same")["question_id"].n_unique() <= 2
    assert not list(order.work.glob("*"))


def test_how_many_waves_go_together_changes_nothing(order, tmp_path, monkeypatch):
    found = []
    for ahead in (1, 4):
        monkeypatch.setattr(elicit, "AHEAD", ahead)
        teacher = Teacher()
        rows, _ = drafts_of(
            order, tmp_path / f"{ahead}", 36, open_engine=lambda ledger, teacher=teacher: teacher
        )
        found.append((rows, teacher))
    (one, slow), (more, quick) = found
    assert one.equals(more)
    assert slow.asked == quick.asked
    assert quick.calls < slow.calls / 1.5


def test_no_wave_begins_after_the_attempts(order, tmp_path):
    teacher = Teacher()
    order = replace(order, open_engine=lambda ledger: teacher)
    draft = DraftParams(36, attempts=2 * ELICIT.wave / 18)
    with pytest.raises(MontessoriError, match="attempts"):
        write_drafts(order, SETTINGS, draft, tmp_path / "out")
    assert teacher.asked == len(TASKS) * 2 * ELICIT.wave


def test_waves_of_all_tasks_go_together_and_a_task_gets_what_it_gets_alone(order, tmp_path):
    teacher = Teacher()
    both, _ = drafts_of(
        order, tmp_path / "both", open_engine=lambda ledger: teacher
    )  # a wave is sure
    waves = both.group_by("skill").agg((pl.col("sample").max() // ELICIT.wave + 1).alias("waves"))
    assert teacher.calls == 2 * waves["waves"].max()  # questions, then rationales
    write_tasks(TASKS[:1], tmp_path / "source.json", tmp_path / "one")
    inputs = order.inputs | {"tasks": tmp_path / "one"}
    alone, _ = drafts_of(order, tmp_path / "alone", inputs=inputs)
    assert alone.equals(both.filter(pl.col("skill") == "sums"))


def test_the_seed_changes_what_is_written(order, tmp_path):
    first, _ = drafts_of(order, tmp_path / "one")
    second, _ = drafts_of(order, tmp_path / "two", seed=1)
    assert {*first["instruction"]} & {*second["instruction"]} <= {"the same"}


@pytest.mark.parametrize(
    ("strategy", "words"), [("naive", "Let's think step by step."), ("task", "Be brief.")]
)
def test_tailored_data_are_exact_and_use_one_prompt(order, tmp_path, strategy, words):
    out = tmp_path / "out"
    write_tailored(order, SETTINGS, TailorParams(rows=9, attempts=9.0), strategy, out)
    rows = read_table(out / "rows.parquet", PROBE)
    assert rows.group_by("skill").len().sort("skill").rows() == [("sums", 5), ("words", 4)]
    assert rows["row_id"].n_unique() == 9
    mine = rows.filter(pl.col("skill") == "words")
    assert all(words[-12:] in text for text in mine["response"])
    for messages, asked, answer in rows.select("messages", "instruction", "response").iter_rows():
        assert [m["content"] for m in messages] == [asked, answer]
        assert re.fullmatch(r"as asked: .*\n?.*\n#### \d+", answer)


def test_a_teacher_that_writes_no_questions_is_an_error(order, tmp_path):
    with pytest.raises(MontessoriError, match="task sums has 0 of 7 questions.*"):
        drafts_of(order, tmp_path / "out", open_engine=lambda ledger: Teacher(broken=True))
    assert not (tmp_path / "out").exists()


def test_an_answer_of_questions_is_led_to_the_first_tag(order, tmp_path):
    class Led(Teacher):
        """Writes on where its answer was begun; without a beginning it chats."""

        def _text(self, prompt, rng):
            opening = prompt.rpartition("<|assistant|>")[2]
            text, finished = super()._text(prompt.removesuffix(opening), rng)
            if "Write more questions." not in prompt:
                return text, finished
            return (text.removeprefix(opening) if opening else "Sure!"), finished

    with pytest.raises(MontessoriError, match="elicit.format: prefill") as error:
        drafts_of(order, tmp_path / "tags", open_engine=lambda ledger: Led())
    assert "texts: 'Sure!', 'Sure!', 'Sure!'" in error.value.where
    led = replace(SETTINGS, elicit=replace(ELICIT, format="prefill"))
    rows, _ = drafts_of(order, tmp_path / "led", settings=led, open_engine=lambda ledger: Led())
    plain, _ = drafts_of(order, tmp_path / "plain", work=tmp_path / "other work")
    assert rows.equals(plain)  # the texts are the same, however they were begun
    assert read_format(tmp_path / "led") == "prefill"
    assert read_format(tmp_path / "plain") == "tags"


def test_questions_are_read_from_tags():
    text = "".join(QUESTION.format(n=n, text=f" a{n} ", target=n) for n in (2, 3, 4, 5))
    found = parse_questions(text, first=3, most=2)
    assert [(q.input, q.target) for q in found] == [("a3", "3"), ("a4", "4")]
    assert found[1].raw == "<Question_3><input> a4 </input><target>4</target></Question_3>"
    for broken in (
        "<Question_3><input></input><target>1</target></Question_3>",
        "<Question_3><input>a</input><target>1</target></Question_4>",
        "<Question_3><input>a<target>1</target></Question_3>",
    ):
        assert parse_questions(broken, 3, 5) == []


@pytest.mark.parametrize("folder", ["data/micro/prompts/elicit", "montessori/templates/elicit"])
def test_the_shipped_templates_show_everything(folder):
    prompts = Prompts.read_folder(ROOT / folder, ELICIT)
    text = prompts.question_prompt(TASKS[0])
    assert text.index("sums") < text.index("<Question_1><input>seed 1") < text.index("<Question_2>")
    asked = prompts.rationale_prompt(TASKS[0], "why?", prompts.naive)
    assert asked.index("why?") < asked.index("Let's think step by step.")
    assert len({*prompts.special}) == 4
    assert prompts.strategy_of(TASKS[1]) == "Be brief."
    assert prompts.strategy_of(TASKS[0]) == prompts.special[0]
