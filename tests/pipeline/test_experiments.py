"""DVC's own commands on the results: metrics by name, experiments, differences.

What would break: `dvc metrics`, `dvc plots` and `dvc exp run` no longer work on this project.
"""

import json
from typing import Any

import pytest

from tests.pipeline.checkout import Checkout

pytestmark = pytest.mark.xdist_group("pipeline")  # one process makes the checkout


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of nested mappings by their dotted names."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        name: leaf
        for key, value in tree.items()
        for name, leaf in flat(value, f"{prefix}.{key}" if prefix else key).items()
    }


def test_metrics_show_by_name(checkout: Checkout):
    shown = checkout.run("dvc", "metrics", "show", "--json")
    files = json.loads(shown)[""]["data"]
    assert "metrics/compare.json" in files
    names = flat(files["metrics/compare.json"]["data"])
    assert "runs.montessori-1.mean.delta" in names
    assert "micro_gsm8k" in flat(files["metrics/eval/montessori-1.json"]["data"])


def test_exp_show_has_metrics_and_params(checkout: Checkout):
    table = checkout.run("dvc", "exp", "show", "--csv")
    header = table.splitlines()[0]
    assert "montessori-1.mean" in header
    assert "teacher_dpo.beta" in header


def test_the_graph_and_the_differences_are_readable(fresh: Checkout):
    assert "teacher-dpo@montessori-1" in fresh.run("dvc", "dag", "--md")
    fresh.change({"teacher_dpo": {"beta": 0.2}})
    assert "teacher_dpo.beta" in fresh.run("dvc", "params", "diff")
    assert fresh.run("dvc", "metrics", "diff").strip() == ""


def test_plots_are_made_from_the_tables(fresh: Checkout):
    fresh.run("dvc", "plots", "show", "--out", "dvc_plots")
    page = (fresh.root / "dvc_plots" / "index.html").read_text()
    for title in ("Influence of montessori-1", "DPO of montessori-1", "SFT of montessori-1"):
        assert title in page


@pytest.mark.slow
def test_an_experiment_with_another_seed(fresh: Checkout):
    output = fresh.run("dvc", "exp", "run", "--name", "seed-1", "-S", "seed=1")
    assert "Running stage 'probe@montessori-1'" in output
    for name in ("models@teacher", "seed"):
        assert f"Running stage '{name}'" not in output
    shown = fresh.run("dvc", "exp", "show", "--csv")
    assert "seed-1" in shown


@pytest.mark.slow
def test_an_experiment_with_another_student(fresh: Checkout):
    change = "models.student.path=data/micro/qwen"
    output = fresh.run("dvc", "exp", "run", "--name", "qwen", "-S", change)
    assert "Running stage 'warmup@montessori-1'" in output
    assert "Running stage 'probe@montessori-1'" not in output
