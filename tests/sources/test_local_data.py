"""Benchmark files as their authors published them become lm-eval's datasets.

What would break: lm-eval asks other questions than the published files hold, or goes to the
network.
"""

import json
from pathlib import Path

import datasets
import pytest

from montessori.errors import MontessoriError
from montessori.sources.benchmarks import public_items
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


def test_lm_eval_reads_a_copy_of_the_hub_repository(tmp_path):
    """While it is served, the copy must not be looked for by the function that serves it."""
    folder = tmp_path / "openai" / "gsm8k"
    parts = "".join(f"  - split: {name}\n    path: main/{name}-*\n" for name in ("train", "test"))
    readme = f"---\nconfigs:\n- config_name: main\n  data_files:\n{parts}---\n"
    write(folder / "README.md", readme)
    write(folder / ".cache" / "huggingface" / "download" / "README.md.metadata", "of today")
    for name in ("train", "test"):
        write(folder / "main" / f"{name}-00000.jsonl", lines({"question": name, "answer": "1"}))
    data = LocalData(tmp_path)
    with data.serving():
        found = datasets.load_dataset(path="openai/gsm8k", name="main")
    assert (found["train"]["question"], found["test"]["question"]) == (["train"], ["test"])
    assert {file.name for file in data.files} == {
        "README.md",
        "train-00000.jsonl",
        "test-00000.jsonl",
    }
    with pytest.raises(MontessoriError, match="gsm8k cannot be read: .*socratic"):
        data.load("openai/gsm8k", "socratic")


ODD = "Two\u2028lines,\u0085or three?"


def odd_file(*rows):
    """With a byte-order mark, Windows' line ends, a blank line and line separators in texts."""
    text = "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"\ufeff{text}\r\n"


def test_line_separators_in_texts_and_a_byte_order_mark(tmp_path):
    row = {"question": ODD, "answer": "#### 1"}
    write(tmp_path / "gsm8k" / "test.jsonl", odd_file(row, row))
    write(
        tmp_path / "mmlu" / "test" / f"{SUBJECT}_test.csv",
        "\ufeffquestion,0,1,2,3,answer\nW?,a,b,c,d,B\n",
    )
    data = LocalData(tmp_path)
    assert data.load("openai/gsm8k", "main")["test"]["question"] == [ODD, ODD]
    assert data.load("cais/mmlu", SUBJECT)["test"]["question"] == ["W?"]
    write(
        tmp_path / "mt_bench" / "question.jsonl",
        odd_file({"question_id": 1, "category": "x", "turns": [ODD]}),
    )
    write(tmp_path / "mine.jsonl", odd_file({"instruction": ODD}))
    reference = [{"instruction": ODD, "dataset": "own", "output": "1"}]
    write(
        tmp_path / "alpaca_eval" / "alpaca_eval_gpt4_baseline.json",
        "\ufeff" + json.dumps(reference),
    )
    found = public_items(tmp_path).items
    for name in ("gsm8k", "mt_bench", "mine", "alpaca_eval"):
        assert found[name][0]["turns"] == [ODD]


def test_a_broken_line_is_named(tmp_path):
    write(tmp_path / "gsm8k" / "test.jsonl", lines({"question": "q"}) + "\n{\n")
    with pytest.raises(MontessoriError, match="line 3: not valid JSON") as error:
        LocalData(tmp_path).load("openai/gsm8k", "main")
    assert error.value.where == str(tmp_path / "gsm8k" / "test.jsonl")


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
