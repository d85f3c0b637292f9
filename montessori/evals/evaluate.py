"""Evaluates one run on all benchmarks that have items: its metrics, and each item's outcome."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.files import read_json, read_table
from montessori.artifacts.schemas import VERDICTS
from montessori.errors import MontessoriError
from montessori.evals.heldout import measure_heldout
from montessori.evals.items import (
    AGAINST_REFERENCE,
    CLOSED,
    GSM8K,
    MMLU,
    OPEN,
    PUBLIC_ALPACA,
    gamed_path,
    present_benchmarks,
    read_items,
)
from montessori.evals.judging.verdicts import FACTS, TABLE
from montessori.evals.metrics import compute_metrics, compute_outcomes
from montessori.evals.outcomes import write_outcomes
from montessori.evals.published.length_control_files import read_gamed
from montessori.evals.settings import BenchmarkParams, EvalParams
from montessori.pipeline.machine import Machine

if TYPE_CHECKING:
    from montessori.evals.lab_benchmarks.run_lm_eval import HarnessResult


def evaluate_run(
    model: Path,
    verdicts: Path,
    evals: Path,
    outcomes: Path,
    bench: BenchmarkParams,
    params: EvalParams,
    machine: Machine,
) -> dict[str, Any]:
    """Evaluate a model folder, write its outcomes, and return its metrics (see `compute_metrics`).

    verdicts: artifact of the stage judge on this model's answers. evals: folder of all eval sets.
    outcomes: the CSV to write. Raises MontessoriError when items or verdicts are missing, or no
    verdict on a benchmark can be used.
    """
    judged = read_table(Path(verdicts) / TABLE, VERDICTS)
    judge = read_json(Path(verdicts) / FACTS)
    for name in present_benchmarks(evals, bench.split, OPEN):
        turns = sum(len(item.turns) for item in read_items(evals, bench.split, name))
        _require_verdicts(judged, name, turns, verdicts)
        if name == PUBLIC_ALPACA:
            _require_verdicts(judged, AGAINST_REFERENCE, turns, verdicts)
    harness = _run_closed(model, evals, bench, params, machine)
    heldout = measure_heldout(model, evals, params.max_length, machine)
    write_outcomes(outcomes, compute_outcomes(judged, harness, heldout))
    gamed = gamed_path(evals, bench.split)
    table = read_gamed(gamed) if gamed.is_file() else None
    return compute_metrics(judged, harness, judge, heldout, table)


def _require_verdicts(judged: pl.DataFrame, name: str, turns: int, where: Path) -> None:
    """Raise MontessoriError unless a benchmark has a verdict on each turn, one of them usable."""
    rows = judged.filter(pl.col("benchmark") == name)
    _require_count(rows.select("item_id", "turn").n_unique(), turns, name, where)
    # A comparison has a preference, a grade has a score.
    if rows.select(pl.coalesce("preference", "score").is_null().all()).item():
        raw = rows["raw"].drop_nulls()
        said = f", the first is {raw[0][:80]!r}" if raw.len() else ""
        raise MontessoriError(
            f"{name}: none of {rows.height} verdicts can be used{said}",
            where=str(where),
            expected="a judge that keeps the form of its prompt (docs/how-to/judges.md)",
            next="name another judge (judge.model), or other prompts (judge.prompts)",
        )


def _run_closed(
    model: Path, evals: Path, bench: BenchmarkParams, params: EvalParams, machine: Machine
) -> "HarnessResult | None":
    """Let lm-eval ask the closed benchmarks; None where the split has none."""
    names = present_benchmarks(evals, bench.split, CLOSED)
    if not names:
        return None
    expected = {name: len(read_items(evals, bench.split, name)) for name in names}
    # lm-eval takes seconds to import, and only closed benchmarks need it.
    from montessori.evals.lab_benchmarks.run_lm_eval import HarnessModel, run_harness
    from montessori.generate.transformers_engine import TransformersEngine

    asked = HarnessModel(TransformersEngine.open(model, machine), params.batch)
    result = run_harness(asked, Path(evals) / bench.split, bench.max_new_tokens, names)
    for name, rows in ((MMLU, result.choices), (GSM8K, result.words)):
        _require_count(len(rows), expected.get(name, 0), name, model)
    return result


def _require_count(results: int, expected: int, benchmark: str, where: Path) -> None:
    if results != expected:
        raise MontessoriError(
            f"{benchmark}: {results} results for {expected} expected",
            where=str(where),
            expected="one for every turn of every item of the split in params.yaml",
            next="dvc repro eval",
        )
