"""One run on all four benchmarks: metrics by name, and the outcome of every item."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from montessori.artifacts import VERDICTS, read_table
from montessori.errors import MontessoriError
from montessori.evals import mt_bench
from montessori.evals.alpaca import length_controlled, win_rate
from montessori.evals.items import ALPACA, BENCHMARKS, GSM8K, MMLU, MT_BENCH, OPEN, read_items
from montessori.evals.outcomes import write_outcomes
from montessori.evals.settings import BenchmarkParams, EvalParams

if TYPE_CHECKING:
    from montessori.evals.harness import HarnessResult
    from montessori.stage import Machine


def evaluate_run(
    model: Path,
    verdicts: Path,
    evals: Path,
    outcomes: Path,
    bench: BenchmarkParams,
    params: EvalParams,
    machine: "Machine",
) -> dict[str, Any]:
    """Evaluate a model folder, write its outcomes, and return its metrics (see `metrics_of`).

    verdicts: artifact of the stage judge on this model's answers. evals: folder of all eval sets.
    outcomes: the CSV to write. Raises MontessoriError when items or verdicts are missing.
    """
    asked = {name: read_items(evals, bench.split, name) for name in BENCHMARKS}
    judged = read_table(Path(verdicts) / "verdicts.parquet", VERDICTS)
    for name in OPEN:
        turns = sum(len(item.turns) for item in asked[name])
        _require(judged.filter(pl.col("benchmark") == name).height, turns, name, verdicts)
    from montessori.evals.harness import HarnessModel, run_harness
    from montessori.generate.transformers_engine import TransformersEngine

    scored = HarnessModel(TransformersEngine.open(model, machine), params.batch)
    harness = run_harness(scored, Path(evals) / bench.split, bench.max_new_tokens)
    _require(len(harness.choices), len(asked[MMLU]), MMLU, model)
    _require(len(harness.words), len(asked[GSM8K]), GSM8K, model)
    write_outcomes(outcomes, outcomes_of(judged, harness))
    return metrics_of(judged, harness)


def _require(found: int, expected: int, benchmark: str, where: Path) -> None:
    if found != expected:
        raise MontessoriError(
            f"{benchmark}: {found} results for {expected} expected",
            where=str(where),
            expected="one for every turn of every item of the split in params.yaml",
            next="dvc repro eval",
        )


def metrics_of(judged: pl.DataFrame, harness: "HarnessResult") -> dict[str, Any]:
    """The metrics of a run; rates 0-100, MT-Bench 1-10, `mean` the plain average on 0-100."""
    pairs = judged.filter(pl.col("benchmark") == ALPACA)
    turns = judged.filter(pl.col("benchmark") == MT_BENCH)
    rate, error = win_rate(pairs["preference"].to_numpy())
    controlled = length_controlled(pairs["preference"].to_numpy(), _difference(pairs).to_numpy())
    choices, words = pl.DataFrame(harness.choices), pl.DataFrame(harness.words)
    values = {
        ALPACA: float(controlled[0]),
        MT_BENCH: _mt_score(turns),
        MMLU: _percent(choices, "acc"),
        GSM8K: _percent(words, "strict"),
    }
    on_hundred = [*values.values()]
    on_hundred[1] = float(mt_bench.percent(values[MT_BENCH]))
    return {
        **values,
        "mean": float(np.mean(on_hundred)),
        "micro_alpaca_eval_win_rate": rate,
        "micro_alpaca_eval_standard_error": error,
        "micro_mt_bench_turns": _by(turns, "turn", "score"),
        "micro_mmlu_norm": _percent(choices, "acc_norm"),
        "micro_mmlu_subjects": _by(choices, "subject", "acc", 100.0),
        "micro_gsm8k_flexible": _percent(words, "flexible"),
        "items": _items(pairs, turns, choices, words),
        "empty": {**_noted(judged, "empty"), GSM8K: int((words["note"] == "empty").sum())},
        "truncated": {
            **_noted(judged, "truncated"),
            GSM8K: int((words["note"] == "truncated").sum()),
        },
        "length": _lengths(judged),
        "versions": harness.versions,
    }


def outcomes_of(judged: pl.DataFrame, harness: "HarnessResult") -> pl.DataFrame:
    """One row per item with the columns of montessori.evals.outcomes."""
    pairs = judged.filter(pl.col("benchmark") == ALPACA)
    turns = judged.filter(pl.col("benchmark") == MT_BENCH)
    scores = turns.group_by("item_id", maintain_order=True).agg(pl.col("score").mean())
    values = [
        (ALPACA, pairs["item_id"], pairs["preference"] * 100.0, _difference(pairs)),
        (MT_BENCH, scores["item_id"], pl.Series(mt_bench.percent(scores["score"])), None),
        (MMLU, *_column(harness.choices, "acc"), None),
        (GSM8K, *_column(harness.words, "strict"), None),
    ]
    return pl.concat([_rows(*columns) for columns in values])


def _rows(
    benchmark: str, items: pl.Series, value: pl.Series, difference: pl.Series | None
) -> pl.DataFrame:
    frame = pl.DataFrame({"item_id": items, "value": value})
    empty = pl.Series([None] * frame.height, dtype=pl.Float64)
    return frame.with_columns(
        pl.lit(benchmark).alias("benchmark"),
        (empty if difference is None else difference).alias("length_difference"),
    )


def _column(rows: list[dict[str, Any]], name: str) -> tuple[pl.Series, pl.Series]:
    frame = pl.DataFrame(rows)
    return frame["item_id"], frame[name] * 100.0


def _difference(pairs: pl.DataFrame) -> pl.Series:
    """Characters of the run's answer minus those of the other run's, as f64."""
    return (pairs["length"] - pairs["against_length"]).cast(pl.Float64)


def _mt_score(turns: pl.DataFrame) -> float:
    """Mean over items of the mean over turns, 1-10."""
    of_items = turns.group_by("item_id").agg(pl.col("score").mean()).sort("score")
    return float(of_items.select(pl.col("score").mean()).item())


def _percent(frame: pl.DataFrame, name: str) -> float:
    """The mean of a column of shares, 0-100."""
    return float(frame.select(pl.col(name).mean()).item()) * 100.0


def _by(frame: pl.DataFrame, key: str, value: str, scale: float = 1.0) -> dict[str, float]:
    means = frame.group_by(key).agg(pl.col(value).mean() * scale).sort(key)
    return {str(name): mean for name, mean in means.iter_rows()}


def _items(*frames: pl.DataFrame) -> dict[str, int]:
    counts = [frame["item_id"].n_unique() for frame in frames]
    return dict(zip(BENCHMARKS, counts, strict=True))


def _noted(judged: pl.DataFrame, note: str) -> dict[str, int]:
    """Answers with this note, by open benchmark."""
    noted = judged.filter(pl.col("note") == note)["benchmark"]
    return {name: int((noted == name).sum()) for name in OPEN}


def _lengths(judged: pl.DataFrame) -> Mapping[str, float]:
    """Mean characters of an answer, by open benchmark."""
    return _by(judged, "benchmark", "length")
