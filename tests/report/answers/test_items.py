"""Answers of two runs joined with their verdicts, by hand.

What would break: the page shows an answer beside another item's verdict, or hidden characters
change what is read.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.schemas import ANSWERS, VERDICTS
from montessori.errors import MontessoriError
from montessori.report.answers.items import (
    LONGEST,
    compare_items,
    judge_outcome,
    read_facts,
    read_side,
    show_text,
)

PAIR, TURNS = "micro_alpaca_eval", "micro_mt_bench"


def answers(folder: Path, *rows: tuple[str, str, int, str, bool]) -> Path:
    """answers.parquet from (item, benchmark, turn, answer, finished)."""
    folder.mkdir(parents=True, exist_ok=True)
    table = [
        (item, name, turn, f"prompt {item} {turn}", text, 3, finished)
        for item, name, turn, text, finished in rows
    ]
    frame = pl.DataFrame(table, schema=ANSWERS, orient="row")
    frame.write_parquet(folder / "answers.parquet")
    return folder


def verdicts(folder: Path, *rows: tuple, **more: list) -> Path:
    """verdicts.parquet from (item, benchmark, turn, preference, score, note), and more columns."""
    folder.mkdir(parents=True, exist_ok=True)
    needed = ("item_id", "benchmark", "turn", "preference", "score", "note")
    frame = pl.DataFrame(rows, schema={name: VERDICTS[name] for name in needed}, orient="row")
    frame.with_columns(**{name: pl.Series(values) for name, values in more.items()}).write_parquet(
        folder / "verdicts.parquet"
    )
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Runs m and s on two pairwise items and one of two turns."""
    for run, words in {"m": "mine", "s": "other"}.items():
        answers(
            tmp_path / "answers" / run,
            ("p-1", PAIR, 1, words, True),
            ("p-2", PAIR, 1, " ", True),
            ("t-1", TURNS, 1, f"{words} one", True),
            ("t-1", TURNS, 2, f"{words} two", run == "s"),
        )
    verdicts(
        tmp_path / "verdicts" / "m",
        ("p-1", PAIR, 1, 0.9, None, ""),
        ("p-2", PAIR, 1, 0.5, None, "empty"),
        ("t-1", TURNS, 1, None, 3.0, ""),
        ("t-1", TURNS, 2, None, 1.0, "truncated"),
    )
    verdicts(
        tmp_path / "verdicts" / "s",
        ("p-1", PAIR, 1, 0.5, None, ""),
        ("p-2", PAIR, 1, 0.5, None, ""),
        ("t-1", TURNS, 1, None, 4.0, ""),
        ("t-1", TURNS, 2, None, 9.0, ""),
    )
    return tmp_path


def joined(root: Path, facts: dict | None = None) -> dict[str, dict]:
    sides = [read_side(root / "answers" / run, root / "verdicts" / run) for run in "ms"]
    return {item["id"]: item for item in compare_items(*sides, facts or {})}


def test_items_hold_both_answers_and_the_verdicts(root: Path) -> None:
    found = joined(root, {"t-1": {"family": "dialogue", "gold": ["right", "<b>"]}})
    assert list(found) == ["p-1", "p-2", "t-1"]
    pair, empty, two = found.values()
    assert pair["turns"] == [
        {
            "prompt": "prompt p-1 1",
            "gold": None,
            "said": None,
            "ours": {"text": "mine", "note": "", "score": None},
            "theirs": {"text": "other", "note": "", "score": None},
        }
    ]
    assert (pair["preference"], pair["outcome"], pair["disagreement"]) == (0.9, "won", 0.8)
    assert (empty["outcome"], empty["disagreement"]) == ("tied", 0.0)
    assert empty["turns"][0]["ours"]["note"] == "empty"
    assert empty["turns"][0]["theirs"]["note"] == "empty"  # by the answer: no verdict says so
    assert (two["family"], two["preference"], two["outcome"]) == ("dialogue", None, "lost")
    assert two["disagreement"] == pytest.approx((6.5 - 2.0) / 9)  # means of 4, 9 and of 3, 1
    assert [turn["gold"] for turn in two["turns"]] == ["right", "<b>"]
    assert two["turns"][1]["ours"] == {"text": "mine two", "note": "truncated", "score": 1.0}
    without = joined(root, {"t-1": {"family": "dialogue", "gold": ["", ""]}})["t-1"]
    assert [turn["gold"] for turn in without["turns"]] == [None, None]


def test_what_is_missing_is_said(root: Path) -> None:
    answers(root / "answers" / "s", ("p-1", PAIR, 1, "other", True))
    verdicts(root / "verdicts" / "s", ("p-1", PAIR, 1, 0.5, None, ""))
    verdicts(
        root / "verdicts" / "m",
        ("p-1", PAIR, 1, None, None, "unparsed"),
        ("t-1", TURNS, 1, None, 3.0, ""),
    )
    found = joined(root)
    assert found["p-1"]["outcome"] == "not judged"
    assert found["p-1"]["turns"][0]["ours"]["note"] == "unparsed"
    assert found["t-1"]["outcome"] == "not judged"
    theirs = {"text": None, "note": "no answer", "score": None}
    assert found["t-1"]["turns"][0]["theirs"] == theirs


def test_several_verdicts_become_one(root: Path) -> None:
    """Orders and rounds of a judge; those against the public reference do not count here."""
    rows = [("p-1", PAIR, 1, preference, None, "cut") for preference in (0.2, 0.4, 1.0)]
    rows += [("p-2", PAIR, 1, None, None, "")]
    scores = [("t-1", TURNS, 1, None, score, "") for score in (1.0, 2.0, None)]
    scores += [("t-1", TURNS, 2, None, 2.0, ""), ("t-1", TURNS, 2, 1.0, None, "")]
    verdicts(
        root / "verdicts" / "m",
        *rows,
        *scores,
        against=["run", "run", "reference", "run", "", "", "", "", "run"],
        problem=["", "", "", "unparsed", "", "", "out of range", "", ""],
        raw=["m", "M", "x", "I am <b>", "1", "2", "11", "2", "[[A]]"],
        repeat=[0] * 9,
    )
    found = joined(root)
    assert found["p-1"]["preference"] == 0.3
    assert found["p-1"]["turns"][0]["said"] == "m\n\n---\n\nM"
    assert found["p-1"]["turns"][0]["ours"]["note"] == "cut"
    assert found["p-2"]["turns"][0]["ours"]["note"] == "unparsed"
    assert found["p-2"]["outcome"] == "not judged"
    two = found["t-1"]
    assert [turn["ours"]["score"] for turn in two["turns"]] == [1.5, 2.0]
    assert two["turns"][0]["ours"]["note"] == "out of range"
    assert two["preference"] == 1.0  # of the comparison, and yet by the scores:
    assert (two["outcome"], two["disagreement"]) == (
        "lost",
        pytest.approx((6.5 - 1.75) / 9, abs=1e-4),
    )


def test_outcome_and_disagreement_by_hand() -> None:
    assert judge_outcome(0.25, []) == {"outcome": "lost", "lead": -0.5, "disagreement": 0.5}
    assert judge_outcome(None, [(10.0, 1.0), (10.0, 1.0)])["disagreement"] == 1.0
    assert judge_outcome(None, [(10.0, 1.0), (1.0, 10.0)])["outcome"] == "tied"
    assert judge_outcome(0.0, [(10.0, 1.0)])["outcome"] == "won"  # scores before preferences
    assert judge_outcome(1.0, [(10.0, None)])["outcome"] == "won"
    assert judge_outcome(None, [(10.0, None)])["outcome"] == "not judged"
    assert judge_outcome(None, [])["disagreement"] == 0.0


def test_hidden_characters_are_shown_and_huge_texts_end() -> None:
    assert show_text("a\u202eb\u2066c\x00d\u2028\ufeff") == (
        "a\u27e8U+202E\u27e9b\u27e8U+2066\u27e9c\u27e8U+0000\u27e9d\u27e8U+2028\u27e9\u27e8U+FEFF\u27e9"
    )
    kept = "\tline\nfamily \U0001f468\u200d\U0001f469 \u05d0\u0628 <b>&amp;"
    assert show_text(kept) == kept
    marked = "\u05d0\u200f! \u0628\u061c\u200e \u0e01\u200b\u0e02\u2060 \u0646\u200c\u0647"
    assert show_text(marked) == marked
    assert show_text("one\r\ntwo\rthree") == "one\ntwo\u27e8U+000D\u27e9three"
    assert show_text("x" * (LONGEST + 1234)) == "x" * LONGEST + "\u2026 (1,234 more characters)"
    assert show_text("x" * LONGEST) == "x" * LONGEST


def test_no_text_of_a_file_turns_the_direction_of_writing(root: Path) -> None:
    name, note = "p\u202e1", "cut\u2067"
    for run in "ms":
        answers(root / "answers" / run, (name, PAIR, 1, "a\u202eb", True))
        verdicts(root / "verdicts" / run, (name, PAIR, 1, 0.5, None, note))
    found = joined(root, {name: {"family": "sums\u2066", "gold": ["\u202d3"]}})
    text = json.dumps(list(found.values()), ensure_ascii=False)
    assert not set(text) & set("\u202d\u202e\u2066\u2067")
    assert text.count("U+202E") == 4  # id, prompt (which names it), both answers


def test_facts_of_items_with_and_without_a_family(tmp_path: Path) -> None:
    lines = [
        {"item_id": "a", "family": "sums", "responses": ["3"]},
        {"item_id": "b", "category": "math"},
        {"item_id": "c"},
    ]
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_facts(tmp_path) == {
        "a": {"family": "sums", "gold": ["3"]},
        "b": {"family": "math", "gold": []},
        "c": {"family": "", "gold": []},
    }
    for broken in ("{", "[]", "3"):
        (tmp_path / "test" / "x.jsonl").write_text(broken + "\n")
        with pytest.raises(MontessoriError, match="not an eval item"):
            read_facts(tmp_path)


def test_a_table_without_a_needed_column_is_an_error(root: Path) -> None:
    path = root / "verdicts" / "m" / "verdicts.parquet"
    pl.read_parquet(path).drop("note").write_parquet(path)
    with pytest.raises(MontessoriError, match="has no note"):
        joined(root)
