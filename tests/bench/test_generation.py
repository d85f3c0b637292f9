"""`montessori bench generate`: tokens per second of each engine.

What would break: the command measures a load other than the one asked for (requests in flight,
rounds, warm-up), so engines are chosen by wrong figures.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from montessori.bench.generation import ROUNDS, lab_dialogues
from montessori.cli import app
from montessori.errors import MontessoriError
from tests.command_line import options
from tests.generate.fake_server import FakeServer


def run(model: object, **chosen: object) -> str:
    """What `montessori bench generate MODEL` prints with the options `chosen`."""
    result = CliRunner().invoke(app, ["bench", "generate", str(model), *options(**chosen)])
    if isinstance(result.exception, MontessoriError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_figures_of_two_engines(student: Path, tmp_path: Path) -> None:
    with FakeServer(lambda turns, seed: ("a few tokens", True), models=[str(student)]) as server:
        text = run(
            student,
            engine="transformers,openai",
            prompts=6,
            samples=2,
            new_tokens=8,
            device="cpu",
            threads=1,
            server=server.url,
            in_flight=4,
            json=tmp_path / "figures.json",
        )
        assert server.most == 4
        assert len(server.asked) == (ROUNDS + 1) * 6 * 2  # and a warm-up
    figures = json.loads((tmp_path / "figures.json").read_text())
    for engine in ("transformers", "openai"):
        assert figures[engine]["tokens_per_second"] > 0
        assert f"{engine}: {figures[engine]['tokens_per_second']:.0f} tokens/s, " in text
    assert "vllm" not in figures


def test_prompts_are_those_of_the_lab() -> None:
    texts = [dialogue[0]["content"] for dialogue in lab_dialogues(5)]
    assert len(set(texts)) == 5
    assert all(text.startswith("Write one new instruction.\n<instruction>") for text in texts)
    assert all(text.count("</instruction>") == 4 for text in texts)


def test_what_is_not_offered_is_said(student: Path, tmp_path: Path) -> None:
    with pytest.raises(MontessoriError, match="unknown engine llama"):
        run(student, engine="llama,vllm")
    with pytest.raises(MontessoriError, match="no such model folder"):
        run(tmp_path / "none")
    with pytest.raises(MontessoriError, match="no server to ask"):
        run(student, engine="openai")
