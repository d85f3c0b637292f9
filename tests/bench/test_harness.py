"""`montessori bench harness`: the stage beside lm-eval alone.

What would break: scores that differ from lm-eval's own are called equal.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from montessori.bench import harness
from montessori.cli import app
from tests.command_line import options

pytestmark = pytest.mark.xdist_group("lm-eval")  # its index of tasks takes seconds


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "gsm8k").mkdir()
    rows = [{"question": f"{i} + 1?", "answer": f"#### {i + 1}"} for i in range(3)]
    for split in ("test", "train"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "gsm8k" / f"{split}.jsonl").write_text(text)
    return tmp_path


def run(student: Path, data: Path) -> tuple[int, str, dict]:
    figures = data / "figures.json"
    chosen = options(data=data, limit=2, rounds=1, device="cpu", threads=1, json=figures)
    result = CliRunner().invoke(app, ["bench", "harness", str(student), *chosen])
    return result.exit_code, result.output, json.loads(figures.read_text())


@pytest.mark.slow
def test_the_stage_and_lm_eval_are_compared(student: Path, data: Path) -> None:
    code, text, figures = run(student, data)
    assert code == 0
    assert figures["equal"] is True
    assert figures["ours_seconds"] > 0 < figures["direct_seconds"]
    assert f"{figures['ratio']:.1%} of its processor time" in text


def test_other_scores_are_told(student: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_run_lm_eval", lambda *_: {"exact_match (strict-match)": 1.0})
    code, text, figures = run(student, data)
    assert code == 1
    assert figures["equal"] is False
    assert "scores DIFFER" in text
