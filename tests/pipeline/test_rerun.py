"""`dvc repro` as the user meets it: everything once, then only what a change touches.

What would break: a change leaves stale results in place, repeats hours of work for nothing, or
results hold a path of the machine.
"""

import json
import time

import pytest
from ruamel.yaml import YAML

from tests.pipeline.checkout import Checkout

pytestmark = pytest.mark.xdist_group("pipeline")  # one process makes the checkout

AFTER_ROUND = {  # of round montessori-1 in the small pipeline, from its DPO on
    "teacher-dpo@montessori-1",
    "synth@montessori-1",
    "student-sft@montessori-1",
    "answers@montessori-1",
    "judge@montessori-1",
    "eval@montessori-1",
    "outputs@montessori-1",
    "leaks-learned@montessori-1",
    "compare",
}


def test_the_small_settings_pass_the_check(checkout: Checkout):
    checkout.run("python", "-m", "montessori.cli", "check")


def test_every_stage_runs_once(checkout: Checkout):
    assert len(checkout.ran) == len(set(checkout.ran))
    params = YAML(typ="safe").load(checkout.root / "params.yaml")
    for stage, section in {"probe": "probes", "synth": "datasets", "eval": "runs"}.items():
        ran = {name.split("@")[1] for name in checkout.ran if name.startswith(f"{stage}@")}
        assert ran == set(params[section])
    before = {name for name in checkout.ran if name.startswith(("eval@", "leaks-"))}
    assert set(checkout.ran[: checkout.ran.index("compare")]) >= before


def test_a_rerun_does_nothing_and_is_quick(fresh: Checkout):
    started = time.monotonic()
    assert fresh.repro() == []
    assert time.monotonic() - started < 10
    assert fresh.run("git", "status", "--porcelain") == ""


def test_the_comparison_names_every_run_and_the_report_stands_alone(checkout: Checkout):
    comparison = json.loads((checkout.root / "metrics" / "compare.json").read_text())
    assert comparison["over"] == "items"
    params = YAML(typ="safe").load(checkout.root / "params.yaml")
    assert set(comparison["runs"]) == set(params["runs"])
    for metrics in comparison["runs"].values():
        assert {"micro_mmlu", "micro_gsm8k", "micro_alpaca_eval", "micro_mt_bench", "mean"} <= set(
            metrics
        )
        for entry in metrics.values():
            assert {"value", "delta", "low", "high"} <= set(entry)
            assert 0 <= entry["value"] <= 100
    page = (checkout.root / "report" / "index.html").read_text()
    assert "self-instruct" in page
    assert "<script" not in page
    for run in params["runs"]:
        assert f'href="outputs/{run}.html"' in page
        answers = (checkout.root / "report" / "outputs" / f"{run}.html").read_text()
        assert "micro_mt_bench-" in answers
    found = comparison["decontamination"]
    assert set(found["probed"]) == {"montessori-1"}
    assert set(found["learned"]) == set(found["written"]) == {"self-instruct", "montessori-1"}
    assert all(counts["eval_items"] == 0 for counts in found["learned"].values())


def test_results_hold_no_path_of_the_machine(checkout: Checkout):
    for path in [
        *checkout.root.glob("data/*/*/manifest.json"),
        *checkout.root.glob("metrics/**/*"),
    ]:
        if path.is_file() and "runtime" not in path.parts:
            assert str(checkout.root) not in path.read_text(errors="replace"), path


def test_git_ignores_outputs_and_keeps_metrics(checkout: Checkout):
    tracked = checkout.run("git", "ls-files").splitlines()
    assert "dvc.lock" in tracked
    assert "metrics/compare.json" in tracked
    assert not [name for name in tracked if name.startswith(("report/", "metrics/runtime/"))]
    data = [name for name in tracked if name.startswith("data/")]
    assert all(name.startswith("data/micro/") or name.endswith(".gitignore") for name in data)


def test_another_beta_touches_dpo_and_what_follows(fresh: Checkout):
    fresh.change({"teacher_dpo": {"beta": 0.2}})
    assert fresh.stale() == AFTER_ROUND


def test_machine_settings_touch_nothing(fresh: Checkout):
    fresh.change({"machine": {"threads": 2, "generation_batch": 16, "log_level": "info"}})
    assert fresh.stale() == set()


def test_a_change_of_code_touches_what_loads_it(fresh: Checkout):
    with (fresh.root / "montessori" / "report" / "answers" / "page.css").open("a") as style:
        style.write("/* more */\n")
    assert set(json.loads(fresh.run("dvc", "status", "--json"))) == {"code"}
    assert fresh.repro("code") == ["code"]
    runs = YAML(typ="safe").load(fresh.root / "params.yaml")["runs"]
    assert fresh.stale() == {f"outputs@{run}" for run in runs}


def test_a_new_round_touches_its_own_stages_and_compare(fresh: Checkout):
    before = set(fresh.run("dvc", "stage", "list", "--name-only").split())
    fresh.run(
        "python", "-m", "montessori.cli", "add", "round", "montessori-2", "--from", "montessori-1"
    )
    after = set(fresh.run("dvc", "stage", "list", "--name-only").split())
    assert after - before
    assert {name.split("@")[1] for name in after - before} == {"montessori-2"}
    assert fresh.stale() == (after - before) | {"compare"}


def test_another_student_touches_what_depends_on_it(fresh: Checkout):
    fresh.change({"models": {"student": {"path": "data/micro/qwen"}}})
    stale = fresh.stale()
    assert {"models@student", "warmup@montessori-1", "student-sft@self-instruct"} <= stale
    assert not {"models@teacher", "seed", "probe@montessori-1", "synth@self-instruct"} & stale


@pytest.mark.slow
def test_what_is_stale_is_what_runs(fresh: Checkout):
    """The same for real: DVC runs exactly the stages that the graph says, and then none."""
    fresh.change({"teacher_dpo": {"beta": 0.2}})
    assert set(fresh.repro()) == AFTER_ROUND
    fresh.run(
        "python", "-m", "montessori.cli", "add", "round", "montessori-2", "--from", "montessori-1"
    )
    ran = fresh.repro()
    assert {name.split("@")[-1] for name in ran} == {"montessori-2", "compare"}
    assert fresh.repro() == []


@pytest.mark.slow
def test_a_rerun_from_nothing_gives_the_same_bits(fresh: Checkout):
    """All but the report, which shows how long the stages took."""
    before = hashes(fresh)
    fresh.repro("--force", "--no-run-cache")
    assert hashes(fresh) == before


def hashes(checkout: Checkout) -> dict[tuple[str, str], str]:
    """The hash of every output but the report, by stage and path."""
    stages = YAML(typ="safe").load(checkout.root / "dvc.lock")["stages"]
    return {
        (name, out["path"]): out["md5"]
        for name, stage in stages.items()
        for out in stage.get("outs", [])
        if out["path"] != "report/index.html"
    }
