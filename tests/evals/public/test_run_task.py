"""lm-eval's tasks on a tiny model: lm-eval's own scores, and errors before it is loaded.

What would break: our numbers on public benchmarks are not lm-eval's, duplicates of an item count
twice, or a cut prompt is not reported.
"""

import json

import polars as pl
import pytest

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import SAMPLES
from montessori.errors import MontessoriError
from montessori.evals.public import run_task as module
from montessori.evals.public.lm_eval_tasks import load_task
from montessori.evals.public.run_task import PublicTask, run_task
from montessori.evals.public.settings import HarnessParams
from montessori.models.chat import folder_template, text_hash
from montessori.sources.local_data import LocalData

SETTINGS = HarnessParams(engine="transformers", data="", limit=0, batch=3, chat_template=False)
pytestmark = pytest.mark.xdist_group("lm-eval")  # its index of tasks takes seconds


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Seven GSM8K questions with two worked examples, and five MMLU questions of one subject."""
    folder = tmp_path_factory.mktemp("benchmarks")
    for name in ("gsm8k", "mmlu/test", "mmlu/dev"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for split, count in (("test", 7), ("train", 2)):
        rows = [{"question": f"{i} + 1?", "answer": f"so\n#### {i + 1}"} for i in range(count)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "gsm8k" / f"{split}.jsonl").write_text(text, encoding="utf-8")
    for split, count in (("test", 5), ("dev", 2)):
        lines = [f"Is it {i}?,a,b,c,d,{i % 4}\n" for i in range(count)]
        (folder / f"mmlu/{split}/anatomy_{split}.csv").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def scored(student, data, machine, tmp_path):
    """Run a task on the tiny student; returns metrics and samples."""

    def score(task, shots, settings=SETTINGS):
        metrics = run_task(
            student,
            PublicTask(task, shots, data),
            tmp_path / "out",
            tmp_path / "outcomes.csv",
            settings,
            machine,
        )
        return metrics, read_table(tmp_path / "out" / "samples.parquet", SAMPLES)

    return score


@pytest.mark.parametrize(("task", "shots"), [("mmlu_anatomy", 0), ("mmlu_anatomy", 2)])
def test_the_numbers_are_lm_evals(scored, student, data, task, shots):
    metrics, samples = scored(task, shots)
    from lm_eval.evaluator import simple_evaluate

    with LocalData(data).serving():
        direct = simple_evaluate(
            model="hf",
            model_args=f"pretrained={student},dtype=float32",
            tasks=[task],
            num_fewshot=shots,
            device="cpu",
            batch_size=3,
            bootstrap_iters=10,
        )
    expected = direct["results"][task]
    assert metrics["scores"][task]["acc"] == {
        "value": expected["acc,none"],
        "stderr": expected["acc_stderr,none"],
    }
    assert samples["prompt_hash"].to_list() == [
        one["prompt_hash"] for one in direct["samples"][task]
    ]
    assert metrics["items"] == 5
    assert metrics["template"] is None
    assert metrics["shots"] == {task: shots}


def test_every_answer_is_kept_under_each_filter(scored):
    metrics, samples = scored(
        "gsm8k", 1, HarnessParams("transformers", "", limit=3, batch=3, chat_template=False)
    )
    assert metrics["items"] == 3
    assert set(metrics["scores"]["gsm8k"]) == {
        "exact_match (strict-match)",
        "exact_match (flexible-extract)",
    }
    assert samples.height == 6
    assert samples["prompt"].str.contains("#### [12]").all()  # a worked example stands before each
    assert json.loads(samples["metrics"][0]) == {"exact_match": 0.0}
    assert metrics["versions"].keys() == {"lm_eval", "gsm8k"}


def test_the_template_is_named_where_it_is_used(scored, student):
    metrics, samples = scored(
        "mmlu_anatomy", 0, HarnessParams("transformers", "", limit=2, batch=3, chat_template=True)
    )
    assert metrics["template"] == text_hash(folder_template(student))
    assert samples["prompt"].str.contains("Is it 0?", literal=True)[0]
    plain, others = scored("mmlu_anatomy", 0)
    assert plain["template"] is None
    assert samples["prompt"][0] != others["prompt"][0]


def test_a_prompt_beyond_the_context_is_counted(scored, monkeypatch):
    from lm_eval.models.huggingface import HFLM

    monkeypatch.setattr(HFLM, "max_length", 8)
    metrics, _ = scored("mmlu_anatomy", 0)
    assert metrics["truncated"] == 5


def test_an_answer_needs_room_in_the_context(scored, monkeypatch):
    from lm_eval.models.huggingface import HFLM

    assert scored("gsm8k", 0)[0]["truncated"] == 0
    monkeypatch.setattr(HFLM, "max_length", 260)  # 256 of them are for the answer
    assert scored("gsm8k", 0)[0]["truncated"] == 7


@pytest.mark.parametrize(
    ("task", "shots", "problem"),
    [
        ("gsm9k", 0, "no task 'gsm9k'"),
        ("hellaswag", 0, "Rowan/hellaswag is not among"),
        ("mmlu_anatomy", 9, "draws its 9 examples"),
        ("bbh_zeroshot_navigate", 3, "defined without examples"),
    ],
)
def test_problems_are_found_before_a_model_is_loaded(
    scored, data, monkeypatch, tmp_path, task, shots, problem
):
    (data / "bbh" / "data").mkdir(parents=True, exist_ok=True)
    example = {"examples": [{"input": "Turn left.", "target": "No"}]}
    (data / "bbh" / "data" / "navigate.json").write_text(json.dumps(example), encoding="utf-8")
    monkeypatch.setattr(module, "open_model", None)
    with pytest.raises(MontessoriError, match=problem):
        scored(task, shots)
    assert not (tmp_path / "out").exists()


def test_the_tasks_own_number_of_examples(data):
    task = load_task("gsm8k", -1, LocalData(data))["tasks"]["gsm8k"]
    assert task.config.num_fewshot == 5


def test_samples_have_no_duplicates(scored):
    _, samples = scored("gsm8k", 0)
    assert samples.select(pl.struct("item", "filter").n_unique()).item() == samples.height
