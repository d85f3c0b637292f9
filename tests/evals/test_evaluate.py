"""Metrics and outcomes of a run, by hand.

What would break: the figures of `metrics/eval` are not those of the verdicts and scores beside
them.
"""

from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import write_json, write_table
from montessori.artifacts.schemas import VERDICTS
from montessori.errors import MontessoriError
from montessori.evals import evaluate
from montessori.evals.evaluate import evaluate_run
from montessori.evals.items import gamed_path
from montessori.evals.lab_benchmarks.run_lm_eval import HarnessResult
from montessori.evals.metrics import compute_metrics, compute_outcomes
from montessori.evals.outcomes import read_outcomes
from montessori.evals.settings import BenchmarkParams, EvalParams
from montessori.pipeline.machine import Machine


def verdict(item: int, benchmark: str, turn: int = 1, **more: object) -> dict:
    empty = dict.fromkeys(VERDICTS)
    return (
        empty
        | {
            "item_id": f"{benchmark}-{item:02d}",
            "benchmark": benchmark,
            "turn": turn,
            "judge": "grader",
            "correct": True,
            "length": 4,
            "note": "",
            "family": "add",
            "against": "run" if "alpaca" in benchmark else "",
            "repeat": 0,
            "method": "checker",
            "problem": "",
            "key": "",
        }
        | more
    )


def table(items: int) -> pl.DataFrame:
    rows = [
        verdict(n, "micro_alpaca_eval", preference=(1.0, 0.5)[n % 2], against_length=n)
        for n in range(items)
    ]
    for n in range(items):
        rows.append(verdict(n, "micro_mt_bench", 1, score=10.0))
        rows.append(verdict(n, "micro_mt_bench", 2, score=1.0, note="empty"))
    return pl.DataFrame(rows, schema=VERDICTS)


def write(frame: pl.DataFrame, folder: Path) -> None:
    write_table(frame, folder / "verdicts.parquet", VERDICTS)
    write_json(folder / "judge.json", {"name": "grader"})


HARNESS = HarnessResult(
    choices=[
        {"item_id": "micro_mmlu-00", "subject": "units", "acc": 1.0, "acc_norm": 1.0},
        {"item_id": "micro_mmlu-01", "subject": "units", "acc": 0.0, "acc_norm": 1.0},
        {"item_id": "micro_mmlu-02", "subject": "stories", "acc": 1.0, "acc_norm": 1.0},
        {"item_id": "micro_mmlu-03", "subject": "units", "acc": 1.0, "acc_norm": 1.0},
    ],
    words=[
        {
            "item_id": f"micro_gsm8k-{n:02d}",
            "strict": float(n == 0),
            "flexible": float(n < 3),
            "note": "truncated" if n == 3 else "",
        }
        for n in range(4)
    ],
    versions={"micro_mmlu": "1"},
)


def test_metrics_by_hand() -> None:
    metrics = compute_metrics(table(4), HARNESS)
    assert metrics["micro_mmlu"] == 75.0
    assert metrics["micro_mmlu_norm"] == 100.0
    assert metrics["micro_mmlu_subjects"] == {"stories": 100.0, "units": pytest.approx(200 / 3)}
    assert (metrics["micro_gsm8k"], metrics["micro_gsm8k_flexible"]) == (25.0, 75.0)
    assert metrics["micro_alpaca_eval_win_rate"] == 75.0
    assert metrics["micro_mt_bench"] == 5.5
    assert metrics["micro_mt_bench_turns"] == {"1": 10.0, "2": 1.0}
    parts = (metrics["micro_alpaca_eval"], 50.0, 75.0, 25.0)
    assert metrics["mean"] == pytest.approx(sum(parts) / 4)
    assert metrics["items"] == dict.fromkeys(
        ("micro_alpaca_eval", "micro_mt_bench", "micro_mmlu", "micro_gsm8k"), 4
    )
    assert metrics["empty"] == {
        "micro_alpaca_eval": 0,
        "micro_mt_bench": 4,
        "micro_gsm8k": 0,
    }
    assert metrics["truncated"]["micro_gsm8k"] == 1


def test_alpaca_eval_is_one_part_of_the_mean_and_not_two() -> None:
    rows = [verdict(0, "mt_bench", score=10.0)]
    for name, preference in (("alpaca_eval", 0.25), ("alpaca_eval_public", 0.75)):
        rows.append(verdict(0, name, preference=preference, against_length=4))
    metrics = compute_metrics(pl.DataFrame(rows, schema=VERDICTS), None)
    assert (metrics["alpaca_eval"], metrics["alpaca_eval_public"]) == (25.0, 75.0)
    assert metrics["mean"] == pytest.approx((50.0 + 100.0) / 2)


def test_the_table_of_gamed_answers_beside_the_items_reaches_the_regression(
    evals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it AlpacaEval's rate at equal length is about a point off the published one."""
    write(table(12), tmp_path / "verdicts")
    columns = ",preference,std_delta_len,instruction_difficulty"
    given = []
    for name in ("_run_closed", "measure_heldout"):
        monkeypatch.setattr(evaluate, name, lambda *inputs: None)
    monkeypatch.setattr(evaluate, "compute_metrics", lambda *inputs: given.append(inputs[-1]))
    args = (tmp_path, tmp_path / "verdicts", evals, tmp_path / "outcomes.csv")
    settings = (BenchmarkParams("test", 6), EvalParams(5), Machine())
    evaluate_run(*args, *settings)
    gamed_path(evals, "test").write_text(f"{columns}\n0,0.75,0.5,0.25\n")
    evaluate_run(*args, *settings)
    assert given[0] is None
    assert (given[1].preference, given[1].length, given[1].difficulty) == (0.75, 0.5, 0.25)


def test_outcomes_by_hand() -> None:
    frame = compute_outcomes(table(4), HARNESS)
    rows = {row["item_id"]: row for row in frame.to_dicts()}
    assert frame.height == 16
    assert rows["micro_alpaca_eval-01"]["value"] == 50.0
    assert rows["micro_alpaca_eval-01"]["length_difference"] == 3.0
    assert rows["micro_mt_bench-02"]["value"] == 50.0
    assert rows["micro_mt_bench-02"]["length_difference"] is None
    assert [rows[f"micro_mmlu-0{n}"]["value"] for n in range(4)] == [100.0, 0.0, 100.0, 100.0]
    assert rows["micro_gsm8k-00"]["value"] == 100.0


def test_a_real_model_folder(evals: Path, model_folder: Path, tmp_path: Path) -> None:
    write(table(12), tmp_path / "verdicts")
    bench, machine = BenchmarkParams("test", 6), Machine(threads=1, device="cpu")
    args = (model_folder, tmp_path / "verdicts", evals, tmp_path / "outcomes.csv", bench)
    metrics = evaluate_run(*args, EvalParams(5), machine)
    assert evaluate_run(*args, EvalParams(64), machine) == metrics
    found = read_outcomes(tmp_path / "outcomes.csv", "eval@run")
    assert found["micro_mmlu"].value.mean() == pytest.approx(metrics["micro_mmlu"])
    assert metrics["items"]["micro_gsm8k"] == 12


def test_verdicts_of_other_items_are_refused(
    evals: Path, model_folder: Path, tmp_path: Path
) -> None:
    write(table(11), tmp_path / "verdicts")
    with pytest.raises(MontessoriError, match="11 results for 12 expected"):
        evaluate_run(
            model_folder,
            tmp_path / "verdicts",
            evals,
            tmp_path / "outcomes.csv",
            BenchmarkParams("test", 6),
            EvalParams(5),
            Machine(),
        )
    assert not (tmp_path / "outcomes.csv").exists()
