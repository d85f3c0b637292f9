"""`montessori bench influence`: speed and error of the estimate, beside the published procedure.

What would break: the command prints a speed, a ratio or a rank correlation of something else than
it names, or its slow procedure is not the published one.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from montessori.bench import influence, world
from montessori.bench.published import Published
from montessori.bench.shapes import SHAPES
from montessori.cli import app
from montessori.errors import MontessoriError
from montessori.models.weights import load_model
from montessori.signals.influence.exact import ExactStep
from montessori.train.adamw import AdamWState, trained_parameters
from montessori.train.loss import Row
from tests.command_line import options
from tests.tiny_rows import row

SMALLEST = {
    "reference_rows": 1,
    "warmup_steps": 1,
    "audit_rows": 2,
    "published_rows": 1,
    "max_length": 8,
    "tokens": 8,
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty rows as JSON Lines."""
    path = tmp_path / "rows.jsonl"
    texts = [json.dumps({"messages": row(i)["messages"]}) for i in range(40)]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def run(model: object, **chosen: object) -> str:
    """What `montessori bench influence MODEL` prints with the options `chosen`."""
    result = CliRunner().invoke(app, ["bench", "influence", str(model), *options(**chosen)])
    if isinstance(result.exception, MontessoriError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    "precision",
    ["fp32", pytest.param("bf16", marks=pytest.mark.slow)],  # minutes without native bf16
)
def test_figures_of_a_folder(student: Path, rows: Path, tmp_path: Path, precision: str) -> None:
    text = run(
        student,
        probes=rows,
        references=rows,
        rows=8,
        reference_rows=6,
        published_rows=1,
        max_length=128,
        precision=precision,
        device="cpu",
        threads=1,
        against=["oracle", "published"],
        json=tmp_path / "out" / "figures.json",
    )
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures["probes_per_second"] > 0
    assert figures["spearman"] > 0.9
    assert figures["sign_agreement"] >= 0.75
    parts = figures["published_parts"]
    assert sum(parts.values()) == pytest.approx(figures["published_seconds_per_probe"])
    assert figures["ratio"] == pytest.approx(
        figures["published_seconds_per_probe"] * figures["probes_per_second"]
    )
    assert "times faster" in text


def test_a_shape_needs_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 60,
        "max_position_embeddings": 64,
        "tie_word_embeddings": False,
    }
    monkeypatch.setitem(SHAPES, "tinyllama-1.1b", small)
    run(
        "tinyllama-1.1b",
        rows=4,
        reference_rows=2,
        tokens=16,
        device="cpu",
        threads=1,
        checkpointing=True,
        json=tmp_path / "f.json",
    )
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["tokens_per_probe"] == 16
    assert figures["peak_memory_of_weights"] > 1
    assert figures["of_floor"] > 0
    assert figures["parts"]["passes"] > 0
    assert "ratio" not in figures


def test_what_is_not_offered_is_said(student: Path, rows: Path) -> None:
    with pytest.raises(MontessoriError, match="--against truth"):
        run(student, against="truth")
    with pytest.raises(MontessoriError, match="neither a model folder nor a shape"):
        run("llama9-80b")
    with pytest.raises(MontessoriError, match="40 references are fewer than the requested 41"):
        run(student, probes=rows, references=rows, rows=2, reference_rows=41, max_length=128)


def test_the_published_procedure_is_the_exact_step_of_one_batch(
    student: Path, tmp_path: Path
) -> None:
    """With one reference batch of rows of one length its loss is the mean over rows."""
    model = load_model(student)
    parameters = trained_parameters(model)
    state = AdamWState(
        {name: 1e-3 * torch.ones_like(value) for name, value in parameters.items()},
        {name: 1e-5 * torch.ones_like(value) for name, value in parameters.items()},
        step=3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        learning_rate=1e-4,
    )
    ids = [[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]]
    references = [Row(some, [-100, -100, *some[2:]]) for some in ids]
    probe = Row([3, 4, 5, 6], [-100, 4, 5, 6])
    slow = Published(model, state, 1e-4, references, 0, tmp_path)
    slow.length = 8
    slow.references = [slow._pad_row(some) for some in references]
    parts = slow.measure_rows([probe])
    exact = ExactStep(load_model(student), state, 1e-4, references, [[0, 1]], 0)
    assert parts.falls[0] == pytest.approx(exact.measure_step([probe]).item(), rel=1e-3)
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.parameters(), load_model(student).parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1e-6, (64, 256, 60)), (0.1, (46, 120, 37)), (100.0, (2, 1, 2))]
)
def test_what_is_left_to_the_time_follows_a_row(monkeypatch, student, seconds, expected) -> None:
    """A slow model has fewer rows and steps, so that the command ends."""
    monkeypatch.setattr(world, "time_row", lambda model, tokens: seconds)
    free = world.Sizes(0, 0, 0, 2.0, 8, 4, 512, 300)
    found = world.settle_sizes(load_model(student), free)
    assert (found.rows, found.reference_rows, found.warmup_steps) == expected
    asked = world.settle_sizes(load_model(student), replace(free, rows=5, warmup_steps=7))
    assert (asked.rows, asked.reference_rows, asked.warmup_steps) == (5, expected[1], 7)


@pytest.mark.parametrize(("asked", "turns"), [({"minutes": 1e-9}, 3), ({"rows": 2}, 5)])
def test_turns_end_with_the_time_unless_rows_are_asked_for(monkeypatch, asked, turns) -> None:
    """Once the time is up three turns are enough; asked rows have all five."""
    monkeypatch.setattr(world, "time_row", lambda model, tokens: 100.0)
    sizes = world.Sizes(**({"rows": 0, "minutes": 1e-9} | asked), **SMALLEST)
    compute = world.Compute("fp32", 0, False, False, "cpu", 1)
    options = world.Options("tiny", world.RowFiles(None, None, None), sizes, compute, ())
    assert influence.measure_influence(options, lambda line: None)["turns"] == turns
