"""The loss on held-out rows in the comparison: less is better, by skill, never in the mean.

What would break: a run with a higher loss is said to beat another one, or losses of models with
different tokenizers are compared.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from montessori.compare.comparison import compare_runs
from montessori.compare.comparison_table import format_markdown, write_plot
from montessori.compare.settings import CompareParams
from montessori.evals.items import ORDER, is_loss
from montessori.evals.outcomes import Outcome
from montessori.graph.rows import Run
from montessori.report.comparison import metric_charts, metric_table
from tests.compare.test_comparison import write_csv

ALPACA = ORDER[0]
ROWS = 60


def outcome(name: str, value: Any) -> Outcome:
    ids = tuple(f"{name}-{n:03d}" for n in range(len(value)))
    return Outcome(ids, np.asarray(value, float), np.zeros(len(value)))


def write_run(root: Path, run: str, shift: float, tokens: int = 900, missing: int = 0) -> None:
    """A run with the baseline's answers, and with its losses plus about `shift`."""
    random = np.random.default_rng(1)
    loss = 1.0 + random.random(ROWS) + shift * random.random(ROWS)
    loss[:missing] = math.nan
    parts = {"heldout: sums": slice(0, 20), "heldout: words": slice(20, ROWS)}
    answers = outcome(ALPACA, (random.random(ROWS) < 0.5) * 100.0)
    whole = outcome("heldout", loss)
    found = {ALPACA: answers, "heldout": whole}
    for name, part in parts.items():
        found[name] = Outcome(whole.items[part], loss[part], np.zeros(len(loss[part])))
    write_csv(root / "outcomes" / f"{run}.csv", found)
    (root / "eval").mkdir(exist_ok=True)
    facts = {ALPACA: answers.value.mean(), "heldout": np.nanmean(loss), "heldout_tokens": tokens}
    (root / "eval" / f"{run}.json").write_text(json.dumps(facts))


def compared(root: Path, *runs: str) -> dict[str, Any]:
    rows = {run: Run(f"students/{run}", "base") for run in ("base", *runs)}
    return compare_runs(rows, root / "eval", root / "outcomes", CompareParams("base", 400, 0.95))


@pytest.fixture
def comparison(tmp_path: Path) -> dict[str, Any]:
    for run, shift in {"base": 0.0, "good": -0.2, "bad": 0.2}.items():
        write_run(tmp_path, run, shift)
    return compared(tmp_path, "good", "bad")


def test_less_loss_is_better_everywhere(comparison: dict[str, Any]) -> None:
    good, bad = (comparison["runs"][run]["heldout"] for run in ("good", "bad"))
    assert good["low"] < good["delta"] < good["high"] < 0 < bad["low"]
    assert good["delta"] == pytest.approx(-0.1, abs=0.03)
    text = format_markdown(comparison)
    assert "good beats base on 1 of 2 (heldout)" in text
    assert "bad loses to base on 1 of 2 (heldout)" in text
    assert f"Held-out loss {good['delta']:+.3f} (" in text
    assert "| heldout (nats, less is better) |" in text
    assert f"{good['value']:.3f} ({good['delta']:+.3f}; " in text
    page = metric_table(comparison)
    assert f'class="up">\u2212{-good["delta"]:.3f} (' in page
    assert f'class="down">+{bad["delta"]:.3f} (' in page


def test_a_loss_is_not_part_of_the_mean(comparison: dict[str, Any]) -> None:
    for row in comparison["runs"].values():
        assert row["mean"]["value"] == row[ALPACA]["value"]
    facts = comparison["benchmarks"]["heldout"]
    assert (facts["in_mean"], facts["items"]) == (False, ROWS)
    assert facts["metric"] == "mean loss in nats per token, less is better"
    shares, losses = metric_charts(comparison)
    assert "heldout" not in shares
    assert "nats per token" in losses


def test_skills_have_intervals_and_no_tests(comparison: dict[str, Any], tmp_path: Path) -> None:
    assert comparison["comparisons"] == 2 * 3  # the benchmark, the loss and the mean of two runs
    good = comparison["runs"]["good"]
    assert set(good["heldout: sums"]) == {"value", "delta", "low", "high"}
    assert good["heldout: words"]["high"] < 0
    text = format_markdown(comparison)
    assert "| run | heldout: sums | heldout: words |" in text
    head = next(line for line in text.splitlines() if line.startswith("| run"))
    assert "sums" not in head
    assert "sums" in metric_table(comparison)
    write_plot(tmp_path / "plot.csv", comparison)
    assert "heldout: sums good,good,heldout: sums," in (tmp_path / "plot.csv").read_text()


def test_losses_over_other_tokens_are_not_compared(tmp_path: Path) -> None:
    for run, tokens in {"base": 900, "same": 900, "other": 1200}.items():
        write_run(tmp_path, run, -0.2, tokens)
    found = compared(tmp_path, "same", "other")
    assert "heldout" in found["runs"]["same"]
    assert not any(map(is_loss, found["runs"]["other"]))
    text = format_markdown(found)
    assert (
        "heldout: other and the run to compare with divide the rows into different tokens" in text
    )
    assert "no outcomes" not in text


def test_rows_without_a_response_in_one_run_are_dropped_from_all(tmp_path: Path) -> None:
    write_run(tmp_path, "base", 0.0)
    write_run(tmp_path, "cut", -0.2, missing=3)
    found = compared(tmp_path, "cut")
    assert found["benchmarks"]["heldout"]["items"] == ROWS - 3
    text = "heldout: 3 of 60 items are dropped, because some run has no response within"
    assert text in format_markdown(found)
