"""Benchmark files as their authors published them become lm-eval's datasets.

What would break: lm-eval asks other questions than the published files hold, or goes to the
network.
"""

import json
from pathlib import Path

import datasets
import pytest

from montessori.errors import MontessoriError
from montessori.sources.local_data import LocalData

SUBJECT = "anatomy"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_mmlu_with_and_without_header(tmp_path):
    header = "question,choice0,choice1,choice2,choice3,answer\n"
    quoted = '"Two\u2028lines, ""quoted""\nhere",a,b,c,d,2\n'
    write(tmp_path / "mmlu" / "test" / f"{SUBJECT}_test.csv", header + quoted)
    write(tmp_path / "mmlu" / "dev" / f"{SUBJECT}_dev.csv", "Which?,a,b,c,d,B\n")
    data = LocalData(tmp_path)
    splits = data.load("cais/mmlu", SUBJECT)
    assert splits["test"][0] == {
        "question": 'Two\u2028lines, "quoted"\nhere',
        "subject": SUBJECT,
        "choices": ["a", "b", "c", "d"],
        "answer": 2,
    }
    assert splits["dev"]["answer"] == [1]
    assert len(data.files) == 2


def test_gsm8k_and_bbh_and_arc(tmp_path):
    write(tmp_path / "gsm8k" / "test.jsonl", lines({"question": "q", "answer": "#### 1"}))
    write(
        tmp_path / "bbh" / "data" / "navigate.json",
        json.dumps({"canary": "x", "examples": [{"input": "i", "target": "t"}]}),
    )
    write(
        tmp_path / "arc" / "llmfoundry_arc_challenge.jsonl",
        lines({"query": "Question: Why?", "choices": ["x", "y", "z"], "gold": 2}),
    )
    data = LocalData(tmp_path)
    assert data.load("openai/gsm8k", "main")["test"][0]["answer"] == "#### 1"
    assert data.load("SaylorTwift/bbh", "navigate")["test"][0] == {"input": "i", "target": "t"}
    arc = data.load("allenai/ai2_arc", "ARC-Challenge")["test"][0]
    assert arc["question"] == "Why?"
    assert arc["choices"]["text"][arc["choices"]["label"].index(arc["answerKey"])] == "z"


def test_a_copy_of_the_hub_repository_comes_first(tmp_path):
    write(tmp_path / "gsm8k" / "test.jsonl", lines({"question": "published"}))
    write(tmp_path / "openai" / "gsm8k" / "test.jsonl", lines({"question": "copy"}))
    found = LocalData(tmp_path).load("openai/gsm8k")
    assert found["test"]["question"] == ["copy"]


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MontessoriError, match="cais/mmlu is not among") as error:
        LocalData(tmp_path).load("cais/mmlu", SUBJECT)
    assert str(tmp_path / "mmlu" / "test" / f"{SUBJECT}_test.csv") in error.value.expected
    assert "hf download cais/mmlu" in error.value.next
    with pytest.raises(MontessoriError, match="Rowan/hellaswag is not among"):
        LocalData(tmp_path).load("Rowan/hellaswag")


def test_lm_eval_loads_its_data_by_the_function_that_is_replaced(tmp_path):
    """A version that goes past `datasets.load_dataset` would ask the hub."""
    from lm_eval.api.task import ConfigurableTask

    write(tmp_path / "gsm8k" / "test.jsonl", lines({"question": "1 + 1?", "answer": "2"}))
    config = {
        "task": "toy",
        "dataset_path": "openai/gsm8k",
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "question",
        "doc_to_target": "answer",
    }
    with LocalData(tmp_path).serving():
        task = ConfigurableTask(config=config)
    assert [task.doc_to_text(doc) for doc in task.test_docs()] == ["1 + 1?"]


def test_the_hub_is_back_afterwards(tmp_path):
    hub = datasets.load_dataset
    data = LocalData(tmp_path)
    with pytest.raises(MontessoriError), data.serving():
        datasets.load_dataset("no/such")
    assert datasets.load_dataset is hub
