"""Verdicts of the lab's checker, by hand.

What would break: the better answer loses, a run does not tie with itself, or a missing answer
counts as a wrong one.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import read_table, write_table
from montessori.artifacts.schemas import ANSWERS, VERDICTS
from montessori.errors import MontessoriError
from montessori.evals.items import OPEN, present_benchmarks, read_items
from montessori.evals.judging.checker import compare_qualities
from montessori.evals.judging.write_verdicts import JudgeInputs, JudgeResources, write_verdicts
from montessori.evals.lab_benchmarks.score_scale import score_of, to_percent
from montessori.evals.settings import BenchmarkParams, JudgeParams
from montessori.pipeline.machine import Machine

DEV = BenchmarkParams("dev", 9)
ROOT = Path(__file__).parents[3]
JUDGE, PROMPTS = ROOT / "data" / "micro", ROOT / "montessori" / "templates" / "judge"


def answers(evals: Path, folder: Path, texts: Mapping[tuple[str, int], str]) -> Path:
    """An answers artifact: gold responses, but for the (item, turn) in `texts`."""
    rows = []
    for name in present_benchmarks(evals, "dev", OPEN):
        for item in read_items(evals, "dev", name):
            for turn, gold in enumerate(item.responses, 1):
                text = texts.get((item.item_id, turn), gold)
                tokens = 3 if text else 0  # tokens without a text are a thought
                rows.append(
                    (item.item_id, name, turn, item.turns[turn - 1], text, tokens, text != "9")
                )
    frame = pl.DataFrame(rows, schema=ANSWERS, orient="row")
    write_table(frame, folder / "answers.parquet", ANSWERS)
    return folder


def judge(evals: Path, ours: Path, theirs: Path, out: Path) -> pl.DataFrame:
    inputs = JudgeInputs(ours, theirs, evals, JUDGE / "judge.json", PROMPTS)
    means = JudgeResources(Machine(), {}.get, out.parent / "ledger.jsonl")
    write_verdicts(inputs, out, JudgeParams("", ""), DEV, means)
    return read_table(out / "verdicts.parquet", VERDICTS)


def test_a_run_against_itself_is_a_tie_everywhere(evals: Path, tmp_path: Path) -> None:
    ours = answers(evals, tmp_path / "a", {("micro_alpaca_eval-03", 1): "cat"})
    table = judge(evals, ours, ours, tmp_path / "out")
    pairs = table.filter(pl.col("benchmark") == "micro_alpaca_eval")
    assert (pairs["preference"] == 0.5).all()
    assert pairs["score"].null_count() == 12
    assert (pairs["length"] == pairs["against_length"]).all()


def test_the_better_answer_wins(evals: Path, tmp_path: Path) -> None:
    changed = {("micro_alpaca_eval-00", 1): "77", ("micro_alpaca_eval-01", 1): " 6. "}
    ours = answers(evals, tmp_path / "a", changed)
    theirs = answers(evals, tmp_path / "b", {("micro_alpaca_eval-02", 1): ""})
    table = judge(evals, ours, theirs, tmp_path / "out")
    wins = dict(table.select("item_id", "preference").iter_rows())
    assert [wins[f"micro_alpaca_eval-0{n}"] for n in range(4)] == [0.0, 0.5, 1.0, 0.5]
    back = judge(evals, theirs, ours, tmp_path / "back")
    swapped = dict(back.select("item_id", "preference").iter_rows())
    assert all(wins[item] == 1.0 - swapped[item] for item in wins if wins[item] is not None)


def test_turns_are_scored_one_by_one(evals: Path, tmp_path: Path) -> None:
    changed = {
        ("micro_mt_bench-04", 1): "13",
        ("micro_mt_bench-04", 2): "",
        ("micro_mt_bench-05", 2): "18",
    }
    ours = answers(evals, tmp_path / "a", changed)
    table = judge(evals, ours, ours, tmp_path / "out").filter(pl.col("turn") > 0)
    scores = {row["item_id"] + "/" + str(row["turn"]): row for row in table.to_dicts()}
    assert scores["micro_mt_bench-04/1"]["score"] == 10.0
    assert scores["micro_mt_bench-04/2"]["score"] == 1.0
    assert scores["micro_mt_bench-04/2"]["note"] == "empty"
    wrong = scores["micro_mt_bench-05/2"]
    assert 1.0 < wrong["score"] < 10.0
    assert (wrong["correct"], wrong["preference"]) == (False, None)
    assert scores["micro_mt_bench-00/1"]["note"] == "truncated"


def test_a_missing_answer_is_named(evals: Path, tmp_path: Path) -> None:
    ours = answers(evals, tmp_path / "a", {})
    table = read_table(ours / "answers.parquet", ANSWERS)
    short = table.filter((pl.col("item_id") != "micro_mt_bench-07") | (pl.col("turn") == 1))
    write_table(short, tmp_path / "b" / "answers.parquet", ANSWERS)
    with pytest.raises(MontessoriError, match="micro_mt_bench-07 has no answer to turn 2"):
        judge(evals, tmp_path / "b", ours, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_preference_and_score_scales() -> None:
    assert [compare_qualities(0.5, q) for q in (0.4, 0.5, 0.6)] == [1.0, 0.5, 0.0]
    assert [score_of(q) for q in (0.0, 0.3, 1.0)] == pytest.approx([1.0, 3.7, 10.0])
    assert to_percent([1.0, 5.5, 10.0]).tolist() == [0.0, 50.0, 100.0]
