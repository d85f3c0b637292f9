"""Odd cells of benchmark files are errors with file and line, item or turn; none is guessed.

What would break: a missing answer counts as the first choice, a text is asked as a list of letters,
or an item that no model can get right lowers every score.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from montessori.errors import MontessoriError
from montessori.sources.benchmarks import public_items
from montessori.sources.local_data import LocalData

MMLU, MMLU_FILE = "cais/mmlu", "mmlu/test/anatomy_test.csv"
ARC, ARC_FILE = "allenai/ai2_arc", "arc/llmfoundry_arc_challenge.jsonl"
GSM8K, GSM8K_FILE = "openai/gsm8k", "gsm8k/test.jsonl"
BBH, BBH_FILE = "SaylorTwift/bbh", "bbh/data/navigate.json"
CONFIGS = {MMLU: "anatomy", ARC: "ARC-Challenge", GSM8K: "main", BBH: "navigate"}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def arc(**change: Any) -> str:
    return json.dumps({"query": "Question: W?", "choices": ["x", "y"], "gold": 1} | change)


def gsm8k(**change: Any) -> str:
    return json.dumps({"question": "1 + 1?", "answer": "It is\n#### 2"} | change)


def bbh(**change: Any) -> str:
    row = {"input": "Left?", "target": "Yes"}
    return json.dumps({"examples": [row, row | change]})


@pytest.mark.parametrize(
    ("name", "file", "text", "problem"),
    [
        (MMLU, MMLU_FILE, "Q?,a,b,c,d,A\nQ?,a,b,c,d,\n", "line 2: the answer is missing"),
        (MMLU, MMLU_FILE, "Q?,a,b,c,d,BC\n", "line 1: the answer is 'BC'"),
        (MMLU, MMLU_FILE, "Q?,a,b,c,d,NaN\n", "line 1: the answer is 'NaN'"),
        (MMLU, MMLU_FILE, "Q?,a,b,c,d,2.0\n", "line 1: the answer is '2.0'"),
        (MMLU, MMLU_FILE, "Q?,a,b,c,d,-1\n", "line 1: the answer is '-1'"),
        (MMLU, MMLU_FILE, '"Two\nlines?",a,b,c,d,1\nQ?,a,b,c,d,4\n', "line 3: the answer is 4"),
        (MMLU, MMLU_FILE, "Q?,a,b,c,d,b\n", "line 1: the answer is 'b'"),
        (MMLU, MMLU_FILE, "Q?,a,b,,d,A\n", "line 1: choices 3 of 4 is ''"),
        (MMLU, MMLU_FILE, "Q?,a,a,a,a,A\n", "line 1: all choices are 'a'"),
        (MMLU, MMLU_FILE, " ,a,b,c,d,A\n", "line 1: question is blank"),
        (MMLU, MMLU_FILE, "Q, or not?,a,b,c,d,A\n", "line 1: the row has 7 columns"),
        (MMLU, MMLU_FILE, "Q?,a,A\n", "line 1: the row has 3 columns"),
        (ARC, ARC_FILE, arc() + "\n" + arc(gold=2), "line 2: the right choice is 2"),
        (ARC, ARC_FILE, arc(gold=-1), "line 1: the right choice is -1"),
        (ARC, ARC_FILE, arc(gold=None), "line 1: the right choice is missing"),
        (ARC, ARC_FILE, arc(gold="B"), "line 1: the right choice is 'B'"),
        (ARC, ARC_FILE, arc(gold=True), "line 1: the right choice is True"),
        (ARC, ARC_FILE, arc(choices="xy"), "line 1: choices is 'xy', not a list"),
        (ARC, ARC_FILE, arc(choices=["x", None]), "line 1: choices 2 of 2 is missing"),
        (ARC, ARC_FILE, arc(choices=["x", 3]), "line 1: choices 2 of 2 is 3"),
        (ARC, ARC_FILE, arc(choices=["x"], gold=0), "line 1: choices is ['x'], not a list of 2"),
        (ARC, ARC_FILE, arc(choices=[*"abcdefghi"], gold=0), "line 1: 9 choices"),
        (ARC, ARC_FILE, arc(choices=["x", "x"]), "line 1: all choices are 'x'"),
        (ARC, ARC_FILE, arc(query=3), "line 1: query is 3, not a text"),
        (ARC, ARC_FILE, "[1]", "line 1: a row is"),
        (GSM8K, GSM8K_FILE, gsm8k() + "\n\n" + gsm8k(answer=None), "line 3: answer is missing"),
        (GSM8K, GSM8K_FILE, gsm8k(answer="two"), 'line 1: answer has no "####"'),
        (GSM8K, GSM8K_FILE, gsm8k(answer="#### "), 'line 1: answer has no "####"'),
        (GSM8K, GSM8K_FILE, gsm8k(question=float("nan")), "line 1: question is blank"),
        (BBH, BBH_FILE, bbh(target=""), "example 2: target is blank"),
        (BBH, BBH_FILE, bbh(input=None), "example 2: input is missing"),
        (BBH, BBH_FILE, bbh(target=["Yes"]), "example 2: target is"),
        (BBH, BBH_FILE, '{"examples": {}}', "the file has no examples"),
        (BBH, BBH_FILE, "[1", "the file has no examples"),
    ],
)
def test_an_odd_cell_is_named(
    tmp_path: Path, name: str, file: str, text: str, problem: str
) -> None:
    write(tmp_path / file, text)
    for read in (lambda: LocalData(tmp_path).load(name, CONFIGS[name]), public_items_of(tmp_path)):
        with pytest.raises(MontessoriError) as caught:
            read()
        assert caught.value.what.startswith(problem)
        assert caught.value.where == str(tmp_path / file)
        assert caught.value.expected


def public_items_of(folder: Path) -> Callable[[], Any]:
    return lambda: public_items(folder)


def test_letters_and_places_are_read_and_other_choices_may_stand_twice(tmp_path: Path) -> None:
    write(tmp_path / MMLU_FILE, "Q?,a,b,c,d,C\nQ?,a,b,a,d,3\nQ?,a,b,c,d, B \n\n")
    assert LocalData(tmp_path).load(MMLU, "anatomy")["test"]["answer"] == [2, 3, 1]


QUESTION = {"question_id": 81, "category": "writing", "turns": ["One?", "Two?"]}
REFERENCE = {"question_id": 81, "choices": [{"turns": ["1", "2"]}]}


@pytest.mark.parametrize(
    ("question", "reference", "problem"),
    [
        ({"turns": "One?"}, {}, "line 2: turns is 'One?', not a list"),
        ({"turns": ["One?", ""]}, {}, "line 2: turns 2 of 2 is ''"),
        ({"turns": []}, {}, "line 2: turns is []"),
        ({"question_id": "82"}, {}, "line 2: question_id is '82'"),
        ({"question_id": True}, {}, "line 2: question_id is True"),
        ({"question_id": 81}, {}, "line 2: question mt_bench-81 occurs twice"),
        ({"category": None}, {}, "line 2: category is missing"),
        ({}, {"choices": [{"turns": "12"}]}, "line 1: turns is '12', not a list"),
        ({}, {"choices": []}, "line 1: choices is no list"),
        ({}, {"choices": [{"turns": ["1"]}]}, "line 1: question 81 has 2 turns, its reference"),
    ],
)
def test_turns_and_references_of_mt_bench(
    tmp_path: Path, question: dict[str, Any], reference: dict[str, Any], problem: str
) -> None:
    folder = tmp_path / "mt_bench"
    second = QUESTION | {"question_id": 82} | question
    write(folder / "question.jsonl", json.dumps(QUESTION) + "\n" + json.dumps(second))
    write(folder / "reference_answer/gpt-4.jsonl", json.dumps(REFERENCE | reference))
    with pytest.raises(MontessoriError) as caught:
        public_items(tmp_path)
    assert caught.value.what.startswith(problem)
    assert caught.value.where.endswith(".jsonl")


ALPACA = {"dataset": "koala", "instruction": "Say hi.", "output": "Hi!"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"instruction": None}, "item 2: instruction is missing"),
        ({"instruction": ["Say", "hi"]}, "item 2: instruction is ['Say', 'hi'], not a text"),
        ({"output": None}, "item 2: output is missing"),
        ({"output": 3}, "item 2: output is 3, not a text"),
        ({"dataset": None}, "item 2: dataset is missing"),
        ({"output": ""}, None),
    ],
)
def test_items_of_alpaca_eval(tmp_path: Path, change: dict[str, Any], problem: str | None) -> None:
    file = tmp_path / "alpaca_eval/alpaca_eval_gpt4_baseline.json"
    write(file, json.dumps([ALPACA, ALPACA | change]))
    if problem is None:
        assert len(public_items(tmp_path).items["alpaca_eval"]) == 2
        return
    with pytest.raises(MontessoriError) as caught:
        public_items(tmp_path)
    assert (caught.value.what, caught.value.where) == (problem, str(file))


def test_items_of_alpaca_eval_come_in_any_form(tmp_path: Path) -> None:
    file = tmp_path / "alpaca_eval/alpaca_eval_gpt4_baseline.json"
    cut = ALPACA | {"instruction": "Say \ud83d"}
    for text in (json.dumps({"data": [cut]}), json.dumps(cut) + "\n", json.dumps([cut])):
        write(file, text)
        (item,) = public_items(tmp_path).items["alpaca_eval"]
        assert (item["item_id"], item["turns"]) == ("alpaca_eval-0000", ["Say \ufffd"])
    write(file, "[]")
    with pytest.raises(MontessoriError, match="alpaca_eval cannot be read: .*no items"):
        public_items(tmp_path)
    write(file, "[" * 100_000)
    with pytest.raises(MontessoriError, match="not valid JSON"):
        public_items(tmp_path)


def test_half_characters_in_bbh_are_replaced(tmp_path: Path) -> None:
    write(tmp_path / BBH_FILE, bbh(input="Left \ud83d"))
    assert public_items(tmp_path).items["bbh"][1]["turns"] == ["Left \ufffd"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"Q?,a,b,c,d,A\nGr\xf6\xdfe?,a,b,c,d,A\n", "line 2: not UTF-8"),
        (b"Q?,a,b,c,d,A\rR?,a,b,c,d\r", "line 2: the row has 5 columns"),
        (b"<!doctype html>", "the file is an HTML page"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / MMLU_FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(MontessoriError, match=problem) as caught:
        public_items(tmp_path)
    assert caught.value.where == str(file)


# ----------------------------------------------------------------------------------- hub copies
@pytest.mark.parametrize(
    ("name", "split", "row", "problem"),
    [
        (MMLU, "test", {"question": "Q?", "choices": ["a", None]}, "choices 2 of 2 is missing"),
        (ARC, "test", {"question": "Q?", "choices": "ab"}, "choices is 'ab'"),
        (ARC, "test", {"question": "Q?", "choices": {"text": []}}, "text is []"),
        ("Rowan/hellaswag", "validation", {"ctx": None}, "ctx is missing"),
        ("Idavidrein/gpqa", "train", {"Question": " "}, "Question is blank"),
    ],
)
def test_odd_cells_of_copies_are_named(
    tmp_path: Path, name: str, split: str, row: dict[str, Any], problem: str
) -> None:
    write(tmp_path / name / f"{split}.jsonl", json.dumps(row))
    with pytest.raises(MontessoriError) as caught:
        public_items(tmp_path)
    assert f"item 0: {problem}" in caught.value.what
    assert caught.value.where == str(tmp_path / name)


def test_a_copy_whose_choices_are_a_text_is_refused(tmp_path: Path) -> None:
    write(tmp_path / MMLU / "test.csv", "question,choices,answer\nQ?,\"['a', 'b']\",0\n")
    with pytest.raises(MontessoriError, match="item 0: choices is .*not a list"):
        public_items(tmp_path)


@pytest.mark.parametrize("ending", ["csv", "jsonl.gz", "json", "parquet"])
def test_copies_in_any_form_are_served(tmp_path: Path, ending: str) -> None:
    rows = datasets.Dataset.from_list([{"question": "Q?", "answer": "#### 1"}])
    copy = tmp_path / GSM8K
    copy.mkdir(parents=True)
    for split in ("train", "test"):
        file = copy / f"{split}.{ending}"
        if ending == "csv":
            rows.to_csv(file)
        elif ending == "parquet":
            rows.to_parquet(file)
        else:
            rows.to_json(file, compression="gzip" if ending.endswith("gz") else None)
    data = LocalData(tmp_path)
    with data.serving():
        found = datasets.load_dataset(path=GSM8K, revision="main")
    assert {split: found[split]["question"][0] for split in found} == {"train": "Q?", "test": "Q?"}


def test_a_copy_with_a_script_or_without_the_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path / GSM8K / "train.jsonl", gsm8k())
    with pytest.raises(MontessoriError, match="openai/gsm8k has the splits train"):
        public_items(tmp_path)
    write(tmp_path / GSM8K / "gsm8k.py", "raise SystemExit")
    with pytest.raises(MontessoriError, match="has a loading script, gsm8k.py") as caught:
        LocalData(tmp_path).load(GSM8K)
    assert "refs/convert/parquet" in caught.value.next


def test_a_task_with_files_of_its_own_is_named(tmp_path: Path) -> None:
    with pytest.raises(MontessoriError, match="json files of its own: https://h.org/x.json"):
        LocalData(tmp_path).load("json", data_files="https://h.org/x.json")


def test_a_damaged_copy_is_no_traceback(tmp_path: Path) -> None:
    write(tmp_path / GSM8K / "test.jsonl", '{"question": "Q?"}\n{"question": \n')
    with pytest.raises(MontessoriError, match="gsm8k cannot be read"):
        LocalData(tmp_path).load(GSM8K)
