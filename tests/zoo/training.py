"""Checks of what trains: influence against the exact step, a step of SFT, of DPO, of warm-up."""

import math
from pathlib import Path

import torch

from montessori.models import chat
from montessori.models.adapters import NO_ADAPTERS, AdapterParams, add_adapters, load_student
from montessori.models.weights import enable_checkpointing, load_model
from montessori.pipeline.machine import Machine
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.train.adamw import AdamWState, read_state, trained_parameters
from montessori.train.dpo import train_teacher
from montessori.train.loss import Row, row_losses, tokenize_rows
from montessori.train.settings import StudentSftParams, TeacherDpoParams, WarmupParams
from montessori.train.sft import train_student
from montessori.train.warmup import warm_up
from tests.tiny_rows import row, write_pairs, write_probe, write_reference

MACHINE = Machine(device="cpu", threads=1)
ADAPTERS = AdapterParams(rank=2, alpha=4.0)
LENGTH = 128
SMALL = {"warmup": 0.0, "decay": 0.0, "min_learning_rate": 1.0, "max_length": LENGTH}
SFT = StudentSftParams(learning_rate=1e-4, epochs=1, batch=4, **SMALL)
DPO = TeacherDpoParams(learning_rate=1e-4, beta=0.1, epochs=1, batch=2, **SMALL)
WARMUP = WarmupParams(
    rows=4, epochs=1, batch=4, learning_rate=1e-4, warmup=0.0, max_grad_norm=1.0, max_length=LENGTH
)
RATE = 1e-5  # of the probing step: larger, and it is not of first order; smaller, and fp32 rounds
EXACT, SHARED, SHORT = 0.1, 0.02, 0.5  # errors as shares of the largest score; SHORT is of bf16


# ------------------------------------------------------------------------------------ influence
def check_influence(folder: Path) -> str:
    """First order is the exact step on all parameters, however rows share passes."""
    return _compare_influence(folder, NO_ADAPTERS)


def check_influence_lora(folder: Path) -> str:
    """First order is the exact step on adapters, however rows share passes."""
    return _compare_influence(folder, ADAPTERS)


def _compare_influence(folder: Path, adapter: AdapterParams) -> str:
    rows, references = _rows(folder)
    dtype = _widest(folder)
    model = _student(folder, adapter, dtype)
    groups = [list(range(len(references)))]
    exact = ExactStep(model, _state(model), RATE, references, groups, 0).score_rows(rows)
    scale = exact.abs().max()
    assert scale > 0, "no row has an influence"
    shared, alone = _estimate(model, rows, references, 0), _estimate(model, rows, references, 1)
    _assert_near(shared[0], exact, EXACT, "first order")
    _assert_near(shared[0], alone[0], SHARED, "rows that share a pass")
    saving = _student(folder, adapter, dtype)
    enable_checkpointing(saving)
    for batch in (0, 1):
        found = _estimate(saving, rows, references, batch)[0]
        _assert_near(found, alone[0], SHARED, "with checkpointing")
    coarse = _student(folder, adapter, torch.bfloat16)
    short = _estimate(coarse, rows, references, 0)[0]
    _assert_near(short.double(), alone[0], SHORT, "bf16")
    return f"one row a pass: {shared[1]}" if shared[1] else ""


@torch.inference_mode()
def _widest(folder: Path) -> torch.dtype:
    """fp64, or fp32 for a model that does not compute in fp64 (XGLM's masks are fp32)."""
    try:
        load_student(folder, torch.float64)(input_ids=torch.tensor([[10, 11]]))
    except RuntimeError:
        return torch.float32
    return torch.float64


def _student(folder: Path, adapter: AdapterParams, dtype: torch.dtype) -> torch.nn.Module:
    """The model of the folder, with adapters that are all different from zero."""
    model = add_adapters(load_student(folder, dtype), adapter, seed=0)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in trained_parameters(model).values():
            if adapter.rank:
                value.data = value.data.to(dtype)
                value += 0.1 * torch.randn(value.shape, generator=draw).to(value)
    return model.eval()


def _rows(folder: Path) -> tuple[list[Row], list[Row]]:
    """Three rows to score and two references, of different lengths."""
    tokenizer = chat.load_tokenizer(folder)
    made = tokenize_rows(tokenizer, [row(i)["messages"] for i in range(5)], LENGTH)
    return made[:3], made[3:]


def _state(model: torch.nn.Module) -> AdamWState:
    """Moments as after twelve steps, in the model's format."""
    draw = torch.Generator().manual_seed(1)
    drawn = {
        name: torch.randn(value.shape, generator=draw).to(value)
        for name, value in trained_parameters(model).items()
    }
    return AdamWState(
        {name: 1e-3 * value for name, value in drawn.items()},
        {name: 1e-6 + 1e-5 * value**2 for name, value in drawn.items()},
        step=12,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.01,
        learning_rate=RATE,
    )


def _estimate(
    model: torch.nn.Module, rows: list[Row], references: list[Row], batch: int
) -> tuple[torch.Tensor, str]:
    """Scores (rows, 1) and why each row has a pass of its own, if it has."""
    gradients = reference_gradients(model, references, [list(range(len(references)))], 0)
    engine = FirstOrder(model, _state(model), RATE, gradients, 0, batch=batch)
    return engine.score_rows(rows), engine.alone


def _assert_near(found: torch.Tensor, expected: torch.Tensor, share: float, what: str) -> None:
    error = float((found - expected).abs().max() / expected.abs().max())
    assert error <= share, f"{what}: scores are off by {error:.2g} of the largest"


# ------------------------------------------------------------------------------------- training
def check_warmup(folder: Path) -> str:
    """A step of warm-up keeps moments for all that is trained, with and without adapters."""
    probe = write_probe(folder / "probe", prompts=3, samples=2)
    for name, adapter in (("full", NO_ADAPTERS), ("lora", ADAPTERS)):
        out = folder / f"warm-{name}"
        warm_up(folder, probe, out, WARMUP, 0, MACHINE, adapter=adapter)
        student = load_student(out)
        state = read_state(out, student)
        assert state.exp_avg.keys() == trained_parameters(student).keys()
        assert any(bool(value.any()) for value in state.exp_avg.values()), "no moment"
    return ""


def check_sft(folder: Path) -> str:
    """A step of SFT begins at the loss of the other stages and lowers it, also with adapters."""
    reference = write_reference(folder / "rows", rows=4)
    for name, adapter in (("full", NO_ADAPTERS), ("lora", ADAPTERS)):
        out = folder / f"student-{name}"
        metrics = train_student(
            folder, reference, out, folder / "sft.csv", SFT, 0, MACHINE, adapter=adapter
        )
        before, after = _mean_loss(folder, folder), _mean_loss(folder, out)
        first = metrics["loss_first"]
        assert abs(first - before) < 1e-3 * before, f"SFT begins at {first:.4f}, not {before:.4f}"
        assert after < before, f"{name}: the loss rose from {before:.5f} to {after:.5f}"
    return ""


@torch.inference_mode()
def _mean_loss(tokenizer: Path, folder: Path) -> float:
    """Mean loss over the trained tokens of the rows of SFT, in nats."""
    dialogues = [row(100 + 7 * i)["messages"] for i in range(4)]
    rows = tokenize_rows(chat.load_tokenizer(tokenizer), dialogues, LENGTH)
    sums, counts = row_losses(load_model(folder).eval(), rows, 0)
    return float(sums.sum() / counts.sum())


def check_dpo(folder: Path) -> str:
    """A step of DPO begins at log 2: the reference is the teacher before the step."""
    pairs = write_pairs(folder / "pairs", 2)
    out = folder / "teacher"
    metrics = train_teacher(folder, pairs, out, folder / "dpo.csv", DPO, 0, MACHINE)
    first = metrics["loss_first"]
    assert abs(first - math.log(2)) < 1e-3, f"DPO begins at {first:.4f}, not log 2"
    load_model(out)
    return ""
