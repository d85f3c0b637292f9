"""Eval items in rows: long ones by a run of words, short ones by their whole text.

What would break: test questions get into training data unseen, or harmless rows are dropped as if
they were test questions.
"""

import csv
import json
from pathlib import Path

import polars as pl
import pytest

from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems, require_clean
from montessori.sources.overlap import check_disjoint, make_member

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
STORY = "Anna has three red boats and buys two more, then she sells 1. How many are left?"
needs_data = pytest.mark.skipif(
    not (DATA / "gsm8k").exists(), reason="the shared folder with real rows is absent"
)


def items(ngram, *texts):
    found = EvalItems(ngram)
    for number, text in enumerate(texts):
        found.add(f"item {number}", (text,))
    return found


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (STORY, True),
        (f"Solve step by step.\n\n{STORY.upper()}\n", True),
        ("ANNA HAS three red boats -- and buys two more; then SHE sells a kite", True),
        ("Anna has three big boats and buys two more, then she loses 1. How many are left?", False),
        ("she sells 1. How many are left?", False),
    ],
)
def test_a_long_item_is_told_by_ten_words_in_a_row(text, match):
    assert items(10, "Other", STORY).matched_by((text,)) == ("item 1" if match else None)
    assert (items(10, STORY).held_by(["x", text]) is not None) == match


def test_a_short_item_is_told_by_its_whole_text_only():
    short = items(10, "Name the capital of France.")
    assert short.matched_by(("  name the capital\nof france",)) == "item 0"
    assert short.matched_by(("Name the capital of France and its river",)) is None
    assert short.held_by(["Name the capital of France."]) is None


SHORT = "What are the names of some famous actors that started their careers on Broadway?"
TWO = "I have two coins. Is one of them a nickel?"


@pytest.mark.parametrize(
    ("turns", "match"),
    [
        ((SHORT, "And on television?"), "item 0"),
        (("Hello!", SHORT.upper()), "item 0"),
        ((f"Please tell me: {SHORT}",), "item 0"),
        ((f"Read this.\n{SHORT}\nBe brief.",), "item 0"),
        ((f"Hi, {TWO} Think first.",), "item 1"),
        ((f'Translate "{TWO}" into French',), "item 1"),
        (
            (
                "\u8bf7\u56de\u7b54\uff1a\u4e16\u754c\u4e0a\u6700\u9ad8\u7684\u5c71\u662f\u54ea\u4e00\u5ea7\u5c71\u5cf0\u5440\uff1f",
            ),
            "item 2",
        ),
        (("Go on", "Again"), "item 3"),
        ((f"{SHORT[:-1]} and in film?",), None),
        (("Is one of them a nickel?",), None),
        (("Go on. Name a colour.",), None),
    ],
)
def test_a_short_item_is_told_as_a_turn_or_as_whole_sentences(turns, match):
    chinese = (
        "\u4e16\u754c\u4e0a\u6700\u9ad8\u7684\u5c71\u662f\u54ea\u4e00\u5ea7\u5c71\u5cf0\u5440\uff1f"
    )
    found = items(20, SHORT, TWO, chinese, "Go on.")
    assert found.matched_by(turns) == match
    row = [make_member("row 1", turns, None)]
    evals = [
        make_member(f"item {n}", (t,), None) for n, t in enumerate((SHORT, TWO, chinese, "Go on."))
    ]
    if match is None:
        check_disjoint({"seed pool": row}, {"test items": evals}, 20)
    else:
        with pytest.raises(MontessoriError, match=f"row 1 = {match}"):
            check_disjoint({"seed pool": row}, {"test items": evals}, 20)


def test_without_runs_of_words_turns_still_count_and_sentences_do_not():
    found = items(0, SHORT)
    assert found.matched_by(("Hello!", SHORT)) == "item 0"
    assert found.matched_by((f"Hello! {SHORT}",)) is None


def test_tasks_of_the_lab_share_turns_with_other_tasks():
    found = EvalItems(20)
    found.add("sum", ("What is 17 plus 25?",), only_as_row=True)
    assert found.matched_by(("What is 17 plus 25?",)) == "sum"
    assert found.matched_by(("What is 17 plus 25?", "Now add 3.")) is None


def test_an_item_of_exactly_n_words_is_long():
    n_words = "a b c d"
    assert items(4, n_words).matched_by(("x a b c d y",)) == "item 0"
    assert items(5, n_words).matched_by(("x a b c d y",)) is None


def test_no_run_goes_over_the_end_of_a_turn():
    found = EvalItems(4)
    found.add("two turns", ("a b c", "d e f"))
    assert found.matched_by(("a b c d e f",)) is None
    assert found.matched_by(("a b c", "d e f")) == "two turns"


def test_zero_switches_runs_off_and_other_scripts_have_words_too():
    assert items(0, STORY).matched_by((STORY + " Say it.",)) is None
    assert items(0, STORY).matched_by((STORY,)) == "item 0"
    russian = "У Анны три лодки и две сети, сколько у неё вещей?"
    assert items(5, russian).matched_by(("Реши: " + russian,)) == "item 0"


def test_the_limit_is_on_the_share_of_samples():
    require_clean(0, 0, 0.0, "teacher")
    require_clean(5, 100, 0.05, "teacher")
    with pytest.raises(MontessoriError, match="6 of 100 samples hold eval items") as error:
        require_clean(6, 100, 0.05, "data/models/teacher")
    assert "data/models/teacher" in str(error.value)
    assert "decontamination.limit" in str(error.value)


def members(name, texts):
    return [make_member(f"{name} {i}", (text,), None) for i, text in enumerate(texts)]


def alpaca_eval():
    path = DATA / "alpaca_eval" / "results" / "gpt4_1106_preview" / "model_outputs.json"
    return [row["instruction"] for row in json.loads(path.read_text("utf-8"))]


def gsm8k(split):
    lines = (DATA / "gsm8k" / f"{split}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines]


@needs_data
def test_the_released_reference_set_is_caught_as_a_leak():
    folder = DATA / "montessori_reference" / "alpaca_eval_gpt4_1106_preview"
    table = pl.read_ipc_stream(folder / "data-00000-of-00001.arrow")
    released = members("reference", table["instruction"].to_list())
    items = members("alpaca_eval", alpaca_eval())
    with pytest.raises(MontessoriError, match="256 of the reference set are in the test items"):
        check_disjoint({"reference set": released}, {"test items": items}, 13)


@needs_data
def test_a_leak_in_other_words_around_it_is_caught_by_runs_only():
    texts = [text for text in alpaca_eval() if len(text.split()) > 20]
    assert len(texts) > 300
    wrapped = members("row", [f"Please help me. {text}\nThanks a lot!" for text in texts])
    items = members("item", alpaca_eval())
    check_disjoint({"seed pool": wrapped}, {"test items": items}, 0)
    with pytest.raises(MontessoriError, match=f"{len(texts)} of the seed pool are in"):
        check_disjoint({"seed pool": wrapped}, {"test items": items}, 13)


@needs_data
def test_separate_splits_of_a_real_benchmark_share_next_to_nothing():
    found = EvalItems(13)
    for number, question in enumerate(gsm8k("test")):
        found.add(str(number), (question,))
    matches = [question for question in gsm8k("train") if found.matched_by((question,))]
    assert len(matches) < 40  # of 7,473
    assert all(found.matched_by((question,)) for question in gsm8k("test"))


@needs_data
def test_rows_are_kept_apart_from_mmlu_too():
    found = EvalItems(13)
    for file in sorted((DATA / "mmlu" / "test").glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as handle:
            for number, row in enumerate(csv.reader(handle)):
                found.add(f"{file.stem} {number}", (row[0],))
    assert len(found) > 13_000
    assert sum(found.matched_by((question,)) is not None for question in gsm8k("train")) < 5
