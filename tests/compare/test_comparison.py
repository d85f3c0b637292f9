import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montessori.artifacts import write_json
from montessori.compare.comparison import METRICS, compare_runs, intervals
from montessori.compare.settings import CompareParams
from montessori.compare.table import markdown, sentence, table, write_plot
from montessori.errors import MontessoriError
from montessori.evals import mt_bench
from montessori.evals.alpaca import length_controlled
from montessori.evals.items import ALPACA, BENCHMARKS, MT_BENCH
from montessori.evals.outcomes import Outcome, write_outcomes

PARAMS = CompareParams("self-instruct", 400, 0.95)
ITEMS = 300


def outcomes(rate: float, seed: int, items: int = ITEMS) -> dict[str, Outcome]:
    """A run that is right on about `rate` of the items; equal seeds are alike."""
    random = np.random.default_rng(seed)
    found = {}
    for name in BENCHMARKS:
        value = (random.random(items) < rate) * 100.0
        difference = random.integers(-9, 10, items).astype(float)
        ids = tuple(f"{name}-{n:03d}" for n in range(items))
        found[name] = Outcome(ids, value, difference * (name == ALPACA))
    return found


def baseline() -> dict[str, Outcome]:
    run = outcomes(0.5, 1)
    tie = run[ALPACA]
    return run | {ALPACA: Outcome(tie.items, tie.value * 0 + 50.0, tie.difference * 0)}


@pytest.fixture
def metrics_root(tmp_path: Path) -> Path:
    """metrics/eval and metrics/outcomes of three runs, one of which params do not name."""
    runs = {"self-instruct": baseline(), "montessori-1": outcomes(0.7, 2), "stale": baseline()}
    for run, found in runs.items():
        rows = [(item, name, value, difference)
                for name, one in found.items()
                for item, value, difference in zip(one.items, one.value, one.difference,
                                                   strict=True)]  # fmt: skip
        schema = ("item_id", "benchmark", "value", "length_difference")
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        write_outcomes(tmp_path / "outcomes" / f"{run}.csv", frame)
        values = {name: float(one.value.mean()) for name, one in found.items()}
        values[ALPACA] = float(
            length_controlled(found[ALPACA].value / 100, found[ALPACA].difference)[0]
        )
        mean = float(np.mean(list(values.values())))
        values[MT_BENCH] = 1 + 9 * values[MT_BENCH] / 100
        assert mt_bench.percent(values[MT_BENCH]) == pytest.approx(found[MT_BENCH].value.mean())
        (tmp_path / "eval").mkdir(exist_ok=True)
        (tmp_path / "eval" / f"{run}.json").write_text(json.dumps(values | {"mean": mean}))
    return tmp_path


def compared(root: Path, *runs: str) -> dict:
    return compare_runs(runs, root / "eval", root / "outcomes", PARAMS)


def test_shape_order_and_arithmetic(metrics_root: Path) -> None:
    comparison = compared(metrics_root, "montessori-1", "self-instruct")
    assert comparison["over"] == "items"
    assert list(comparison) == ["over", "runs"]
    assert list(comparison["runs"]) == ["montessori-1", "self-instruct"]
    for row in comparison["runs"].values():
        assert list(row) == list(METRICS)
        assert all(set(entry) == {"value", "delta", "low", "high"} for entry in row.values())
        values = [row[name]["value"] for name in BENCHMARKS]
        assert row["mean"]["value"] == pytest.approx(np.mean(values))
    run, base = (comparison["runs"][name] for name in ("montessori-1", "self-instruct"))
    for name in METRICS:
        assert base[name]["delta"] == base[name]["low"] == base[name]["high"] == 0.0
        assert run[name]["delta"] == pytest.approx(run[name]["value"] - base[name]["value"])
        assert run[name]["low"] < run[name]["delta"] < run[name]["high"]
    assert base[ALPACA]["value"] == pytest.approx(50.0)


def test_the_bootstrap_is_paired() -> None:
    """A run that is right wherever the baseline is, and on 5 % more, is surely better."""
    base = baseline()
    run = dict(base)
    for name in BENCHMARKS[1:]:
        value = base[name].value.copy()
        value[np.flatnonzero(value == 0)[:15]] = 100.0
        run[name] = Outcome(base[name].items, value, base[name].difference)
    paired = intervals({"self-instruct": base, "run": run}, PARAMS)["run"]
    shuffled = intervals({"self-instruct": base, "run": outcomes(0.55, 9)}, PARAMS)["run"]
    for name in BENCHMARKS[1:]:
        assert paired[name]["delta"] == pytest.approx(5.0)
        assert 0 < paired[name]["low"] < 5.0 < paired[name]["high"] < 10.0
        width = shuffled[name]["high"] - shuffled[name]["low"]
        assert width > 2 * (paired[name]["high"] - paired[name]["low"])


def test_interval_has_the_width_of_the_normal_theory() -> None:
    base, run = baseline(), outcomes(0.7, 2)
    found = intervals(
        {"self-instruct": base, "run": run}, CompareParams("self-instruct", 4000, 0.95)
    )
    deltas = run["micro_mmlu"].value - base["micro_mmlu"].value
    half = 1.96 * deltas.std(ddof=1) / np.sqrt(ITEMS)
    entry = found["run"]["micro_mmlu"]
    assert (entry["high"] - entry["low"]) / 2 == pytest.approx(half, rel=0.05)


def test_other_runs_change_nothing(metrics_root: Path) -> None:
    one = compared(metrics_root, "self-instruct", "montessori-1")
    more = compared(metrics_root, "stale", "self-instruct", "montessori-1")
    assert one["runs"]["montessori-1"] == more["runs"]["montessori-1"]


def test_errors_name_what_is_wrong(metrics_root: Path) -> None:
    with pytest.raises(MontessoriError, match="'self-instruct' is no run"):
        compared(metrics_root, "montessori-1")
    with pytest.raises(MontessoriError, match="missing"):
        compared(metrics_root, "self-instruct", "montessori-9")
    path = metrics_root / "eval" / "montessori-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"micro_gsm8k": 3.0}))
    with pytest.raises(MontessoriError, match="by the outcomes") as caught:
        compared(metrics_root, "self-instruct", "montessori-1")
    assert "dvc repro eval@montessori-1" in str(caught.value)
    path = metrics_root / "outcomes" / "montessori-1.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:5] + lines[6:]) + "\n")
    with pytest.raises(MontessoriError, match="montessori-1 lacks 1 of 300 items"):
        compared(metrics_root, "self-instruct", "montessori-1")


def test_two_thousand_resamples_of_four_runs_are_quick() -> None:
    runs = {name: outcomes(0.6, n, 500) for n, name in enumerate("abc")}
    start = time.perf_counter()
    intervals(
        {"self-instruct": baseline_of(500), **runs}, CompareParams("self-instruct", 2000, 0.9)
    )
    assert time.perf_counter() - start < 12.0  # about 1.5 s on a free core


def baseline_of(items: int) -> dict[str, Outcome]:
    return outcomes(0.5, 1, items)


def entry(delta: float, half: float) -> dict[str, float]:
    return {"value": 50.0 + delta, "delta": delta, "low": delta - half, "high": delta + half}


def test_sentence_and_table(metrics_root: Path, tmp_path: Path) -> None:
    row = dict(zip(METRICS, (entry(3, 1), entry(2, 1), entry(0.5, 1), entry(4, 1), entry(2, 1)),
                   strict=True))  # fmt: skip
    assert sentence("montessori-2", row, "self-instruct") == (
        "montessori-2 beats self-instruct on 3 of 4 (micro_alpaca_eval, micro_mt_bench, "
        "micro_gsm8k); micro_mmlu undecided. Mean +2.0 (+1.0 to +3.0): better."
    )
    lost = {name: entry(-2, 1) for name in METRICS}
    assert "loses to self-instruct on 4 of 4" in sentence("base", lost, "self-instruct")
    unclear = {name: entry(0, 1) for name in METRICS}
    assert "is not told apart" in sentence("base", unclear, "self-instruct")
    comparison = compared(metrics_root, "self-instruct", "montessori-1")
    text = markdown(comparison, PARAMS)
    assert "| **self-instruct** (baseline) | 50.0 |" in text
    assert "95 % interval" in text
    assert text.count("- montessori-1 ") == 1
    write_plot(tmp_path / "compare.csv", comparison)
    plot = pl.read_csv(tmp_path / "compare.csv")
    assert plot.columns == ["bar", "run", "metric", "value", "delta", "low", "high"]
    assert plot.height == 2 * len(METRICS)
    assert plot["bar"].n_unique() == plot.height


def test_the_printed_table_keeps_the_order_of_params(metrics_root: Path, tmp_path: Path) -> None:
    comparison = compared(metrics_root, "self-instruct", "montessori-1")
    write_json(tmp_path / "compare.json", comparison)
    raw = {"runs": {"self-instruct": {}, "montessori-1": {}}, "compare": vars(PARAMS)}
    text = table(tmp_path / "compare.json", raw)
    assert text == markdown(comparison, PARAMS)
    assert text.index("| **self-instruct**") < text.index("| montessori-1 ")
    with pytest.raises(MontessoriError, match="no comparison yet"):
        table(tmp_path / "none.json", raw)
