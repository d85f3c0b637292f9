"""`montessori bench train`: what a step costs, by the trainers of the stages.

What would break: the command measures something else than the stages do, or never ends.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from montessori.bench import training
from montessori.cli import app
from montessori.errors import MontessoriError
from tests.command_line import options


def run(model: object, **chosen: object) -> str:
    result = CliRunner().invoke(app, ["bench", "train", str(model), *options(**chosen)])
    if isinstance(result.exception, MontessoriError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_steps_of_each_training_are_measured(student: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(training, "time_row", lambda model, tokens: 1e9)  # the fewest steps
    text = run(
        student, batch=2, tokens=16, rank=2, device="cpu", threads=1, json=tmp_path / "f.json"
    )
    figures = json.loads((tmp_path / "f.json").read_text())
    for name, texts in (("sft", 1), ("sft-lora", 1), ("dpo", 2)):
        found = figures[name]
        assert found["steps"] == training.LEAST_STEPS
        tokens = found["tokens_per_second"] * found["seconds_per_step"]
        assert tokens == pytest.approx(2 * 16 * texts)
        assert found["peak_memory_of_weights"] > 1
        assert f"{name}: " in text


def test_what_is_not_offered_is_said() -> None:
    with pytest.raises(MontessoriError, match="--only ppo: unknown"):
        run("tiny", only="ppo")
    with pytest.raises(MontessoriError, match="neither a model folder nor a shape"):
        run("llama9-80b")
