"""The comparison: numbers by hand, p-values against a permutation test, what runs may lack.

What would break: a difference, an interval or a p-value in the headline table is wrong; a run is
compared with the wrong one; an item that one run lacks counts for the other.
"""

import itertools
import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from montessori.artifacts.files import write_json
from montessori.compare.bootstrap import bootstrap_metric, draw_item_counts, observed_metric
from montessori.compare.comparison import compare_runs, compute_entries, find_counterparts
from montessori.compare.comparison_table import format_comparison, format_markdown, write_plot
from montessori.compare.run_outcomes import MEAN, RunOutcomes, drop_unpaired_items
from montessori.compare.settings import CompareParams
from montessori.errors import MontessoriError
from montessori.evals.items import ORDER
from montessori.evals.lab_benchmarks import score_scale
from montessori.evals.lab_benchmarks.ridge_length_control import length_controlled_rate
from montessori.evals.outcomes import Outcome
from montessori.evals.significance import bootstrap_p, correct_by_holm
from montessori.graph.rows import Exam, Harness, Run
from tests.slow_twins.bootstrap import paired_bootstrap, resample_counts

ALPACA, MT_BENCH = "micro_alpaca_eval", "micro_mt_bench"
BENCHMARKS = ORDER[:4]
METRICS = (*BENCHMARKS, MEAN)
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


def write(root: Path, run: str, found: dict[str, Outcome]) -> None:
    """The files of a run as the stage eval writes them."""
    write_csv(root / "outcomes" / f"{run}.csv", found)
    values = {name: observed_metric(name, one) for name, one in found.items()}
    mean = float(np.mean(list(values.values())))
    values = {name: None if np.isnan(value) else value for name, value in values.items()}
    for name in set(values) & {MT_BENCH, "mt_bench"}:
        if values[name] is not None:
            values[name] = 1 + 9 * values[name] / 100
            assert score_scale.to_percent(values[name]) == pytest.approx(found[name].value.mean())
    (root / "eval").mkdir(exist_ok=True)
    (root / "eval" / f"{run}.json").write_text(json.dumps(values | {"mean": mean}))


def write_csv(path: Path, found: dict[str, Outcome]) -> None:
    rows = [
        (item, name, value, difference)
        for name, one in found.items()
        for item, value, difference in zip(one.items, one.value, one.difference, strict=True)
    ]
    schema = ("item_id", "benchmark", "value", "length_difference")
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=schema, orient="row").write_csv(path, float_precision=4)


@pytest.fixture
def metrics_root(tmp_path: Path) -> Path:
    """metrics/eval and metrics/outcomes of three runs, one of which params do not name."""
    for run, found in {
        "self-instruct": baseline(),
        "montessori-1": outcomes(0.7, 2),
        "stale": baseline(),
    }.items():
        write(tmp_path, run, found)
    return tmp_path


def named(*runs: str) -> dict[str, Run]:
    return {run: Run(f"students/{run}", "self-instruct") for run in runs}


def test_public_length_controlled_rates_are_those_of_the_metric_files() -> None:
    random = np.random.default_rng(0)
    ids = tuple(f"alpaca_eval-{n:04d}" for n in range(ITEMS))
    runs = {
        run: {"alpaca_eval": Outcome(ids, random.random(ITEMS) * 100.0, random.normal(size=ITEMS))}
        for run in ("self-instruct", "montessori-1")
    }
    found = RunOutcomes(runs, frozenset({"alpaca_eval"}))
    plain = compute_entries(found, PARAMS)["montessori-1"]["alpaca_eval"]
    told = {"self-instruct": {"alpaca_eval": 50.0}, "montessori-1": {"alpaca_eval": 57.5}}
    entry = compute_entries(found, PARAMS, told)["montessori-1"]["alpaca_eval"]
    assert entry["value"] == 57.5
    assert entry["delta"] == 7.5
    for end in ("low", "high"):  # the spread is that of the fits
        assert entry[end] - entry["delta"] == pytest.approx(plain[end] - plain["delta"])
    table = compute_entries(found, PARAMS, told)["montessori-1"]
    assert table[MEAN]["value"] == 57.5


def test_a_benchmark_that_is_scored_twice_has_one_weight_in_the_mean() -> None:
    random = np.random.default_rng(0)
    names = ("alpaca_eval", "alpaca_eval_public", "mt_bench")
    runs: dict[str, dict[str, Outcome]] = {}
    for run in ("self-instruct", "montessori-1"):
        runs[run] = {}
        for name in names:
            ids = tuple(f"{name}-{n}" for n in range(40))
            runs[run][name] = Outcome(ids, random.random(40) * 100.0, np.zeros(40))
    row = compute_entries(RunOutcomes(runs, frozenset(names)), PARAMS)["montessori-1"]
    alpaca = (row["alpaca_eval"]["value"] + row["alpaca_eval_public"]["value"]) / 2
    assert row[MEAN]["value"] == pytest.approx((alpaca + row["mt_bench"]["value"]) / 2)


def compared(root: Path, *runs: str, **harnesses: Harness) -> dict:
    return compare_runs(named(*runs), root / "eval", root / "outcomes", PARAMS, harnesses)


def table_of(runs: dict[str, dict[str, Outcome]], params: CompareParams = PARAMS) -> dict:
    return compute_entries(drop_unpaired_items(RunOutcomes(runs, frozenset(ORDER))), params)


def test_shape_order_and_arithmetic(metrics_root: Path) -> None:
    comparison = compared(metrics_root, "montessori-1", "self-instruct")
    assert comparison["over"] == "items"
    assert comparison["comparisons"] == len(METRICS)
    assert comparison["benchmarks"][ALPACA] == {
        "items": ITEMS,
        "left_out": 0,
        "metric": "length-controlled win rate",
        "in_mean": True,
        "missing_in": "",
    }
    assert list(comparison["runs"]) == ["montessori-1", "self-instruct"]
    for row in comparison["runs"].values():
        assert list(row) == list(METRICS)
        values = [row[name]["value"] for name in BENCHMARKS]
        assert row["mean"]["value"] == pytest.approx(np.mean(values))
    run, base = (comparison["runs"][name] for name in ("montessori-1", "self-instruct"))
    four = {"value", "delta", "low", "high"}
    assert all(set(entry) == four for entry in base.values())
    assert all(set(entry) == four | {"p", "p_holm"} for entry in run.values())
    assert {name: run[name]["p_holm"] for name in METRICS} == correct_by_holm(
        {name: run[name]["p"] for name in METRICS}
    )
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
    paired = table_of({"self-instruct": base, "run": run})["run"]
    shuffled = table_of({"self-instruct": base, "run": outcomes(0.55, 9)})["run"]
    for name in BENCHMARKS[1:]:
        assert paired[name]["delta"] == pytest.approx(5.0)
        assert 0 < paired[name]["low"] < 5.0 < paired[name]["high"] < 10.0
        width = shuffled[name]["high"] - shuffled[name]["low"]
        assert width > 2 * (paired[name]["high"] - paired[name]["low"])


def test_interval_has_the_width_of_the_normal_theory() -> None:
    base, run = baseline(), outcomes(0.7, 2)
    found = table_of(
        {"self-instruct": base, "run": run}, CompareParams("self-instruct", 4000, 0.95)
    )
    deltas = run["micro_mmlu"].value - base["micro_mmlu"].value
    half = 1.96 * deltas.std(ddof=1) / np.sqrt(ITEMS)
    entry = found["run"]["micro_mmlu"]
    assert (entry["high"] - entry["low"]) / 2 == pytest.approx(half, rel=0.05)


def test_other_runs_change_nothing(metrics_root: Path) -> None:
    one = compared(metrics_root, "self-instruct", "montessori-1")
    more = compared(metrics_root, "stale", "self-instruct", "montessori-1")
    for name in METRICS:
        alone, among = (dict(found["runs"]["montessori-1"][name]) for found in (one, more))
        assert alone.pop("p_holm") <= among.pop("p_holm")  # corrected for more comparisons
        assert alone == among


def test_errors_name_what_is_wrong(metrics_root: Path) -> None:
    with pytest.raises(MontessoriError, match="'self-instruct' is not a run"):
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
    table_of(
        {"self-instruct": outcomes(0.5, 1, 500), **runs}, CompareParams("self-instruct", 2000, 0.9)
    )
    assert time.perf_counter() - start < 12.0  # about 1.5 s on a free core


def test_items_as_many_as_mmlus_are_drawn_in_blocks() -> None:
    """14,042 items x 2,000 samples are 225 MB at once; the blocks are the rows of one draw."""
    items = 14_042
    first = next(draw_item_counts(items, 2000, seed=5))
    assert first.nbytes < 64e6
    together = np.concatenate(list(draw_item_counts(items, 600, seed=5)))
    assert (together == resample_counts(items, 600, seed=5)).all()
    values = (np.random.default_rng(0).random(items) < 0.5) * 100.0
    outcome = Outcome(tuple(map(str, range(items))), values, values * 0)
    start = time.perf_counter()
    found = bootstrap_metric("mmlu acc", {"a": outcome, "b": outcome, "c": outcome}, 2000)
    assert time.perf_counter() - start < 15.0  # about 1.6 s on a free core
    assert found["a"].std() == pytest.approx(values.std() / np.sqrt(items), rel=0.1)


# -------------------------------------------------------------------- what a run is compared with
TRANSFER = {  # a run's `against`
    "self-instruct": "self-instruct",
    "montessori-1": "self-instruct",
    "self-instruct-to-2": "self-instruct-to-2",
    "montessori-1-to-2": "self-instruct-to-2",
}


def judged(against: dict[str, str]) -> dict[str, Run]:
    return {run: Run(f"students/{run}", other) for run, other in against.items()}


@pytest.fixture
def transfer_root(tmp_path: Path) -> Path:
    """Metrics of the runs of TRANSFER; a self-instruct of its own for the second student."""
    rates = (0.5, 0.7, 0.6, 0.8)
    for seed, (run, rate) in enumerate(zip(TRANSFER, rates, strict=True)):
        write(tmp_path, run, outcomes(rate, seed))
    return tmp_path


def test_runs_are_compared_with_the_baseline_or_their_own_against() -> None:
    assert find_counterparts(judged(TRANSFER), "self-instruct") == TRANSFER
    # who is judged against the same run as the baseline is compared with the baseline
    assert find_counterparts(judged(TRANSFER), "montessori-1") == {
        "self-instruct": "montessori-1",
        "montessori-1": "montessori-1",
        "self-instruct-to-2": "self-instruct-to-2",
        "montessori-1-to-2": "self-instruct-to-2",
    }
    lost = judged({"self-instruct": "self-instruct", "montessori-1": "gone"})
    with pytest.raises(
        MontessoriError, match="'gone', which montessori-1 is against, is not a run"
    ):
        find_counterparts(lost, "self-instruct")


def test_a_run_with_an_against_of_its_own_is_compared_with_that(transfer_root: Path) -> None:
    root, runs = transfer_root, judged(TRANSFER)
    found = compare_runs(runs, root / "eval", root / "outcomes", PARAMS)
    assert found["against"] == TRANSFER
    assert found["comparisons"] == 2 * len(METRICS)  # the two that are no self-instruct
    own, other = (found["runs"][run] for run in ("montessori-1-to-2", "self-instruct-to-2"))
    alone = compare_runs(
        {run: runs[run] for run in ("self-instruct-to-2", "montessori-1-to-2")},
        root / "eval",
        root / "outcomes",
        CompareParams("self-instruct-to-2", 400, 0.95),
    )
    for name in METRICS:
        assert own[name]["delta"] == pytest.approx(own[name]["value"] - other[name]["value"])
        assert (other[name]["delta"], other[name]["low"], other[name]["high"]) == (0.0, 0.0, 0.0)
        assert "p" not in other[name]
        same = alone["runs"]["montessori-1-to-2"][name]  # to the same numbers as without the others
        assert {key: own[name][key] for key in same if key != "p_holm"} == {
            key: same[key] for key in same if key != "p_holm"
        }
    text = format_markdown(found)
    assert "| montessori-1-to-2 (against self-instruct-to-2) | " in text
    assert f"| self-instruct-to-2 | {other[ALPACA]['value']:.1f} | " in text
    assert "- montessori-1-to-2 beats self-instruct-to-2 on " in text
    assert "- self-instruct-to-2 beats" not in text


def test_a_benchmark_that_only_one_of_a_pair_has_is_no_entry(transfer_root: Path) -> None:
    extra = {"mt_bench": outcomes(0.6, 7)[MT_BENCH]}
    for run in ("self-instruct-to-2", "montessori-1-to-2", "montessori-1"):
        write(transfer_root, run, outcomes(0.5, 1) | extra)
    folders = transfer_root / "eval", transfer_root / "outcomes"
    rows = compare_runs(judged(TRANSFER), *folders, PARAMS)["runs"]
    assert [run for run in rows if "mt_bench" in rows[run]] == [
        "self-instruct-to-2",
        "montessori-1-to-2",  # a pair without the baseline
    ]
    write(transfer_root, "self-instruct-to-2", outcomes(0.5, 1))
    rows = compare_runs(judged(TRANSFER), *folders, PARAMS)["runs"]
    assert [run for run in rows if "mt_bench" in rows[run]] == []


# ------------------------------------------------------------------------------------- p-values
def one_benchmark(name: str, values: np.ndarray, difference: np.ndarray | None = None) -> Outcome:
    ids = tuple(f"{n:03d}" for n in range(len(values)))
    return Outcome(ids, values, values * 0.0 if difference is None else difference)


def test_the_p_value_of_a_mean_is_that_of_the_paired_bootstrap() -> None:
    """Drawn in the same way, the samples of the interval give the p-value of the slow twin."""
    random = np.random.default_rng(4)
    ours, theirs = random.random(80) * 100, random.random(80) * 100 - 9.0
    counts = resample_counts(80, 500, seed=11)
    deltas = counts @ (ours - theirs) / 80
    found = bootstrap_p(deltas, float((ours - theirs).mean()))
    assert found == paired_bootstrap(ours, theirs, resamples=500, seed=11)
    assert 1 / 501 < found < 0.2


def p_of(ours: np.ndarray, theirs: np.ndarray) -> float:
    runs = {
        "self-instruct": {"micro_mmlu": one_benchmark("m", theirs)},
        "run": {"micro_mmlu": one_benchmark("m", ours)},
    }
    params = CompareParams("self-instruct", 20_000, 0.95)
    return float(table_of(runs, params)["run"]["micro_mmlu"]["p"])


def test_the_p_value_is_near_that_of_all_permutations() -> None:
    """Twelve items: all 4,096 ways to swap the two runs' outcomes. The bootstrap's value is
    smaller for so few: it does not count the observed difference into the spread of the items."""
    ours = np.array([90.0, 40, 75, 60, 85, 30, 95, 55, 70, 65, 80, 45])
    theirs = np.array([84.0, 45, 60, 72, 76, 35, 79, 50, 72, 50, 66, 51])
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=12)))
    means = np.abs(signs @ (ours - theirs) / 12)
    exact = float((means >= abs((ours - theirs).mean()) - 1e-12).mean())
    assert exact == 714 / 4096
    assert p_of(ours, theirs) == pytest.approx(exact, abs=0.05)


def test_with_more_items_the_p_value_is_that_of_the_permutation_test() -> None:
    random = np.random.default_rng(3)
    deltas = random.choice([-100.0, 0.0, 100.0], size=400, p=[0.18, 0.6, 0.22])
    signs = random.choice([-1.0, 1.0], size=(20_000, 400))
    exact = float((np.abs(signs @ deltas / 400) >= abs(deltas.mean()) - 1e-9).mean())
    assert 0.01 < exact < 0.6
    assert p_of(deltas, deltas * 0) == pytest.approx(exact, rel=0.1)


def test_p_values_of_length_controlled_rates_hold_their_level() -> None:
    """Of 150 pairs of runs that are equally good about 5 % have p below 0.05; a better one has
    a small one, also if it wins by quality while its answers are shorter."""
    random = np.random.default_rng(6)
    found = []
    for trial in range(150):
        length = random.normal(0, 50, size=(2, 120))
        wins = (random.random((2, 120)) < 1 / (1 + np.exp(-length / 50))) * 100.0
        fits = [
            length_controlled_rate(one / 100, far, resample_counts(120, 200, trial))
            - length_controlled_rate(one / 100, far)
            for one, far in zip(wins, length, strict=True)
        ]
        rates = [
            length_controlled_rate(one / 100, far)[0] for one, far in zip(wins, length, strict=True)
        ]
        delta = float(rates[0] - rates[1])
        found.append(bootstrap_p(fits[0] - fits[1] + delta, delta))
    assert 0.005 < np.mean(np.array(found) < 0.05) < 0.11
    length = random.normal(-40, 50, size=200)
    wins = (random.random(200) < 1 / (1 + np.exp(-(length / 50 + 1.5)))) * 100.0
    base = one_benchmark("a", np.full(200, 50.0))
    runs = {"self-instruct": {ALPACA: base}, "run": {ALPACA: one_benchmark("a", wins, length)}}
    assert table_of(runs)["run"][ALPACA]["p"] < 0.02


def test_equal_runs_have_p_one_and_the_correction_counts_the_table() -> None:
    base = baseline()
    found = table_of({"self-instruct": base, "same": base, "other": outcomes(0.9, 5)})
    assert {entry["p"] for entry in found["same"].values()} == {1.0}
    assert {entry["p_holm"] for entry in found["same"].values()} == {1.0}
    smallest = 1 / (PARAMS.resamples + 1)
    for name in METRICS:  # five of ten are as small as they can be: each times ten
        assert found["other"][name]["p"] == smallest
        assert found["other"][name]["p_holm"] == pytest.approx(10 * smallest)


# --------------------------------------------------------------------------- what runs may lack
def test_a_benchmark_that_some_runs_lack_is_compared_between_the_others(metrics_root: Path) -> None:
    extra = {"mt_bench": outcomes(0.6, 7)[MT_BENCH]}
    for run, more in {"self-instruct": extra, "montessori-1": extra, "plain": {}}.items():
        write(metrics_root, run, outcomes(0.5, 1) | more)
    comparison = compared(metrics_root, "self-instruct", "montessori-1", "plain")
    assert comparison["benchmarks"]["mt_bench"]["missing_in"] == "plain"
    assert not comparison["benchmarks"]["mt_bench"]["in_mean"]
    assert "mt_bench" not in comparison["runs"]["plain"]
    assert comparison["runs"]["montessori-1"]["mt_bench"]["p"] == 1.0
    for row in comparison["runs"].values():
        assert row["mean"]["value"] == pytest.approx(np.mean([row[n]["value"] for n in BENCHMARKS]))
    text = format_markdown(comparison)
    assert "mt_bench: no outcomes of plain; only the others are compared." in text
    assert all(line.count("|") == 8 for line in text.splitlines() if line.startswith("|"))
    write(metrics_root, "self-instruct", baseline())
    text = format_markdown(compared(metrics_root, "self-instruct", "montessori-1"))
    assert "mt_bench is not compared: self-instruct, the baseline, has no outcomes" in text


def test_items_without_a_value_are_dropped_from_all_runs(metrics_root: Path) -> None:
    """Two unusable verdicts of the baseline, two of the run, one of them on the same item."""
    base, ours = outcomes(0.5, 1)[MT_BENCH], outcomes(0.6, 7)[MT_BENCH]
    for outcome, places in ((base, [0, 5]), (ours, [5, 9])):
        outcome.value[places] = np.nan
    write(metrics_root, "self-instruct", baseline() | {"mt_bench": base})
    write(metrics_root, "montessori-1", outcomes(0.7, 2) | {"mt_bench": ours})
    silent = Outcome(base.items, base.value * np.nan, base.difference)
    write(metrics_root, "stale", baseline() | {"mt_bench": silent})
    comparison = compared(metrics_root, "self-instruct", "montessori-1", "stale")
    facts = comparison["benchmarks"]["mt_bench"]
    assert (facts["items"], facts["left_out"]) == (ITEMS - 3, 3)
    assert facts["missing_in"] == "stale"  # not one value: as if it had not been asked
    kept = np.isfinite(base.value) & np.isfinite(ours.value)
    entry = comparison["runs"]["montessori-1"]["mt_bench"]
    assert entry["value"] == pytest.approx(ours.value[kept].mean())
    assert entry["delta"] == pytest.approx((ours.value - base.value)[kept].mean())
    assert "mt_bench: 3 of 300 items are dropped" in format_markdown(comparison)


def test_runs_without_a_common_benchmark_are_an_error(metrics_root: Path) -> None:
    write(metrics_root, "other", {"mt_bench": outcomes(0.6, 7)[MT_BENCH]})
    with pytest.raises(MontessoriError, match="no benchmark was answered by all runs"):
        compared(metrics_root, "self-instruct", "other")


def test_rows_of_lm_eval_belong_to_the_runs_with_their_model(metrics_root: Path) -> None:
    tasks = ("gsm8k exact_match (strict-match)", "gsm8k exact_match (flexible-extract)")
    for row, seed in {"g-base": 1, "g-m1": 2}.items():
        found = {name: outcomes(0.4 + 0.1 * seed, seed)[MT_BENCH] for name in tasks}
        write_csv(metrics_root / "outcomes" / "harness" / f"{row}.csv", found)
    rows = {
        "g-base": Harness("students/self-instruct", "gsm8k", 8),
        "g-m1": Harness("students/montessori-1", "gsm8k", 8),
        "g-elsewhere": Harness("models/teacher", "gsm8k", 8),  # no run's model: not even read
    }
    comparison = compared(metrics_root, "self-instruct", "montessori-1", "stale", **rows)
    titles = [f"{name} 8-shot" for name in tasks]
    for title in titles:
        assert comparison["benchmarks"][title]["missing_in"] == "stale"
        assert comparison["runs"]["montessori-1"][title]["delta"] != 0
        assert title not in comparison["runs"]["stale"]
    mean = comparison["runs"]["montessori-1"]["mean"]["value"]
    row = comparison["runs"]["montessori-1"]
    assert mean == pytest.approx(np.mean([row[name]["value"] for name in BENCHMARKS]))
    assert comparison["comparisons"] == 2 * len(METRICS) + 2
    both = compared(metrics_root, "self-instruct", "montessori-1", **rows)
    assert titles[0] in both["runs"]["montessori-1"]  # all runs have it, and yet:
    assert both["runs"]["montessori-1"]["mean"]["value"] == mean
    line = next(
        line for line in format_markdown(comparison).splitlines() if line.startswith("| run")
    )
    places = [line.index(name) for name in (*BENCHMARKS, titles[1], titles[0], "| mean")]
    assert places == sorted(places)
    other = rows | {"g-m1": Harness("students/montessori-1", "gsm8k", 5)}
    apart = compared(metrics_root, "self-instruct", "montessori-1", **other)
    assert f"{tasks[0]} 5-shot" not in apart["runs"]["montessori-1"]  # the baseline has none
    (metrics_root / "outcomes" / "harness" / "g-m1.csv").unlink()
    with pytest.raises(MontessoriError, match="outcomes are missing") as caught:
        compared(metrics_root, "self-instruct", "montessori-1", **rows)
    assert "dvc repro harness@g-m1" in str(caught.value)


def test_exams_belong_to_the_runs_with_their_model_and_are_not_in_the_mean(
    metrics_root: Path,
) -> None:
    exams = {
        "b": Exam("students/self-instruct", "lab"),
        "m1": Exam("students/montessori-1", "lab"),
        "elsewhere": Exam("models/teacher", "lab"),  # no run's model: not even read
    }
    for row, seed in (("b", 1), ("m1", 2)):
        found = {"exam lab": outcomes(0.4 + 0.1 * seed, seed)[MT_BENCH]}
        write_csv(metrics_root / "outcomes" / "exam" / f"{row}.csv", found)
    folders = (metrics_root / "eval", metrics_root / "outcomes")
    runs = named("self-instruct", "montessori-1")
    plain = compare_runs(runs, *folders, PARAMS)["runs"]["montessori-1"]
    comparison = compare_runs(runs, *folders, PARAMS, exams=exams)
    row = comparison["runs"]["montessori-1"]
    values = outcomes(0.6, 2)[MT_BENCH].value.mean(), outcomes(0.5, 1)[MT_BENCH].value.mean()
    assert row["exam lab"]["value"] == pytest.approx(values[0], abs=1e-3)
    assert row["exam lab"]["delta"] == pytest.approx(values[0] - values[1], abs=1e-3)
    assert row["mean"]["value"] == plain["mean"]["value"]
    assert comparison["benchmarks"]["exam lab"]["in_mean"] is False
    (metrics_root / "outcomes" / "exam" / "m1.csv").unlink()
    with pytest.raises(MontessoriError, match="outcomes are missing") as caught:
        compare_runs(runs, *folders, PARAMS, exams=exams)
    assert "dvc repro exam@m1" in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a,micro_mmlu,inf,"], "an infinite value"),
        ([",micro_mmlu,1.0,"], "has no item"),
        (["a,micro_mmlu,1.0,", "a,micro_mmlu,2.0,"], "occurs twice"),
        (["a,micro_mmlu,many,"], "not a table of outcomes"),
        ([], "there are no outcomes"),
    ],
)
def test_broken_outcomes_are_errors(metrics_root: Path, lines: list[str], message: str) -> None:
    path = metrics_root / "outcomes" / "montessori-1.csv"
    path.write_text("\n".join(["item_id,benchmark,value,length_difference", *lines]) + "\n")
    with pytest.raises(MontessoriError, match=message) as caught:
        compared(metrics_root, "self-instruct", "montessori-1")
    assert "dvc repro eval@montessori-1" in str(caught.value)


# --------------------------------------------------------------------------- the table, the plot
def test_table_and_plot(metrics_root: Path, tmp_path: Path) -> None:
    comparison = compared(metrics_root, "self-instruct", "montessori-1")
    text = format_markdown(comparison)
    assert "| **self-instruct** (baseline) | 50.0 |" in text
    assert "95 % interval" in text
    assert "all 5 comparisons" in text
    assert text.count("- montessori-1 beats self-instruct on 4 of 4") == 1
    assert text.count(")\\* |") == 5
    write_plot(tmp_path / "compare.csv", comparison)
    plot = pl.read_csv(tmp_path / "compare.csv")
    assert plot.columns == ["bar", "run", "metric", "value", "delta", "low", "high", "p", "p_holm"]
    assert plot.height == 2 * len(METRICS)
    assert plot["bar"].n_unique() == plot.height


def test_the_printed_table_keeps_the_order_of_params(metrics_root: Path, tmp_path: Path) -> None:
    comparison = compared(metrics_root, "self-instruct", "montessori-1")
    write_json(tmp_path / "compare.json", comparison)
    raw = {"runs": {"self-instruct": {}, "montessori-1": {}}}
    text = format_comparison(tmp_path / "compare.json", raw)
    assert text == format_markdown(comparison)
    assert text.index("| **self-instruct**") < text.index("| montessori-1 ")
    with pytest.raises(MontessoriError, match="no comparison yet"):
        format_comparison(tmp_path / "none.json", raw)
    write_json(tmp_path / "old.json", {"over": "items", "runs": {}})
    with pytest.raises(MontessoriError, match="has no baseline, confidence"):
        format_comparison(tmp_path / "old.json", raw)
