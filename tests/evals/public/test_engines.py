"""lm-eval's tasks with a real vLLM, and per-item outcomes.

What would break: a public benchmark's figure depends on the engine, or an item's outcome is that of
another item.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.schemas import SAMPLES
from montessori.errors import MontessoriError
from montessori.evals.outcomes import COLUMNS
from montessori.evals.public import lm_eval_model
from montessori.evals.public.run_task import PublicTask, run_task
from montessori.evals.public.settings import HarnessParams
from montessori.evals.public.task_outcomes import write_task_outcomes
from montessori.pipeline.machine import Machine

STUDENT = Path(__file__).parents[3] / "data" / "micro" / "llama"
MACHINE = Machine(device="cpu", threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve questions to choose from and six to answer."""
    folder = tmp_path_factory.mktemp("benchmarks")
    for name in ("gsm8k", "mmlu/test", "mmlu/dev"):
        (folder / name).mkdir(parents=True)
    lines = [f"Which number is {i}?,{i},{i + 1},{i + 2},{i + 3},0\n" for i in range(12)]
    for split in ("test", "dev"):
        (folder / f"mmlu/{split}/anatomy_{split}.csv").write_text("".join(lines))
    rows = [{"question": f"What is {i} + 4?", "answer": f"so\n#### {i + 4}"} for i in range(6)]
    for split in ("test", "train"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "gsm8k" / f"{split}.jsonl").write_text(text)
    return folder


@pytest.mark.xdist_group("vllm")
@pytest.mark.parametrize("task", [pytest.param("mmlu_anatomy", marks=pytest.mark.slow), "gsm8k"])
def test_vllm_gives_the_numbers_of_transformers(data, tmp_path, task):
    pytest.importorskip("vllm", reason="vLLM is not installed for this machine")
    found, texts = [], []
    for engine in ("transformers", "vllm"):
        settings = HarnessParams(engine, "", limit=0, batch=3, chat_template=False)
        out = tmp_path / engine
        outcomes = tmp_path / f"{engine}.csv"
        found.append(run_task(STUDENT, PublicTask(task, 1, data), out, outcomes, settings, MACHINE))
        samples = pl.read_parquet(out / "samples.parquet")
        texts.append(samples.select("item", "filter", "prompt", "target", "metrics"))
    assert found[0]["scores"] == found[1]["scores"]
    assert texts[0].equals(texts[1])
    assert found[0]["truncated"] == found[1]["truncated"]


def test_a_machine_without_vllm_says_so(data, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lm_eval.models.vllm_causallms", None)
    settings = HarnessParams("vllm", "", limit=0, batch=3, chat_template=False)
    with pytest.raises(MontessoriError, match="vLLM cannot be imported") as error:
        lm_eval_model.open_model(STUDENT, settings, MACHINE)
    assert "harness.engine" in str(error.value)


def test_outcomes_have_a_row_per_item_metric_and_filter(tmp_path):
    empty = dict.fromkeys(SAMPLES, "")
    samples = pl.DataFrame(
        [
            empty | {"item": "t/1", "filter": "none", "metrics": '{"acc": 1.0, "acc_norm": 0.0}'},
            empty | {"item": "t/0", "filter": "none", "metrics": '{"acc": 0.0, "acc_norm": 0.5}'},
            empty | {"item": "t/0", "filter": "strict", "metrics": '{"perplexity": [-3.5, 2]}'},
        ],
        schema=SAMPLES,
    )
    write_task_outcomes(tmp_path / "o.csv", samples, "t")
    frame = pl.read_csv(tmp_path / "o.csv")
    assert tuple(frame.columns) == COLUMNS
    assert frame.select("item_id", "benchmark", "value").rows() == [
        ("t/0", "t acc", 0.0),
        ("t/1", "t acc", 100.0),
        ("t/0", "t acc_norm", 50.0),
        ("t/1", "t acc_norm", 0.0),
    ]
