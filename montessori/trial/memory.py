"""What each stage's step takes at the chosen settings: measured where it was run, else scaled up.

A backward pass over one and three rows gives bytes and seconds for each token. A stage's peak is
that of the step which the trial ran, plus the bytes of the tokens that its own batches have more.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from montessori.models.adapters import NO_ADAPTERS, AdapterParams, add_adapters
from montessori.models.weights import enable_checkpointing, load_model
from montessori.signals.influence.first_order import ROWS as SHARED
from montessori.signals.influence.settings import InfluenceParams
from montessori.train.arguments import count_steps
from montessori.train.device import choose_device, uses_checkpointing
from montessori.train.loss import Row, sum_mean_losses
from montessori.train.memory import affordable_tokens, bytes_to_come, most_tokens
from montessori.train.passes import rows_of_pass
from montessori.train.settings import StudentSftParams, TeacherDpoParams, WarmupParams
from montessori.trial.candidate import Candidate, Measured
from montessori.trial.cost import GIB, forget_peak, memory_of, peak_bytes
from montessori.trial.findings import Finding
from montessori.writing.settings import InstructionParams, ProbeParams, SynthParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LONGEST = 128  # tokens of a row of the two measured passes
HEAD = ("stage", "tokens of a pass", "peak", "a step", "all steps", "peak is")


@dataclass(frozen=True)
class Pace:
    """What one more token of a backward pass takes: bytes of memory, seconds."""

    bytes: float
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A stage at the chosen settings: tokens of a pass, training passes in a step, and steps in all
    (0: not known before)."""

    stage: str
    tokens: int
    passes: float
    steps: int


def ask_memory(candidate: Candidate) -> list[Finding]:
    """A table of the stages that were tried, at the settings' lengths and batches."""
    if not candidate.measured:
        return []
    device = choose_device(candidate.settings.machine)
    model = _load_trained(candidate, device)
    found = {plan: _largest_run(candidate, plan.stage) for plan in _plans(candidate, model)}
    runs = {plan: run for plan, run in found.items() if run is not None}
    if not runs:
        return []
    pace = _measure_pace(model)
    rows: list[tuple[str, ...]] = [HEAD]
    most = 0.0
    for plan, run in runs.items():
        peak = run.peak + pace.bytes * max(0, plan.tokens - run.tokens)
        most = max(most, peak)
        rows.append(_cells(plan, run, peak, pace))
    room = memory_of(device)
    text = f"{most / GIB:.1f} GiB at most, of {room / GIB:.1f} GiB; steps of rows of full length"
    if most > room:
        next = (
            "lower max_length of that stage, or set adapter.rank or "
            "machine.gradient_checkpointing: on"
        )
        return [Finding("memory", "problem", text, next, _table(rows))]
    return [Finding("memory", "ok", text, lines=_table(rows))]


def _cells(plan: Plan, run: Measured, peak: float, pace: Pace) -> tuple[str, ...]:
    step = plan.passes * plan.tokens * pace.seconds
    how = "measured" if plan.tokens <= run.tokens else f"extrapolated from {run.tokens:,} tokens"
    every = _clock(step * plan.steps) if plan.steps else "-"
    return (plan.stage, f"{plan.tokens:,}", f"{peak / GIB:.1f} GiB", _clock(step), every, how)


def _largest_run(candidate: Candidate, stage: str) -> Measured | None:
    """The run of a stage's step with the highest peak; None where it was not run."""
    runs = [run for run in candidate.measured if run.stage == stage]
    return max(runs, key=lambda run: run.peak, default=None)


def _plans(candidate: Candidate, model: "PreTrainedModel") -> list[Plan]:
    """The training stages of the model's roles. Influence takes a step with each row of a probe."""
    settings, plans = candidate.settings, []
    if "student" in candidate.roles:
        plans += [
            _plan_warmup(candidate, model),
            _plan_influence(candidate, model),
            _plan_sft(candidate, model),
        ]
    if "teacher" in candidate.roles:
        dpo = settings.section("teacher_dpo", TeacherDpoParams)
        pair = 2 * dpo.max_length
        together = rows_of_pass(dpo.batch, pair, model, settings.machine)
        # The reference policy adds a forward pass, a third of a training pass.
        passes = 4 / 3 * dpo.batch / together
        plans.append(Plan("teacher_dpo", together * pair, passes, 0))
    return plans


def _plan_warmup(candidate: Candidate, model: "PreTrainedModel") -> Plan:
    params = candidate.settings.section("warmup", WarmupParams)
    steps = params.epochs * -(-params.rows // params.batch)
    most = int(affordable_tokens(model, bytes_to_come(model))) // params.max_length
    together = max(1, min(params.batch, most))
    passes = params.batch / together
    return Plan("warmup", together * params.max_length, passes, steps)


def _plan_sft(candidate: Candidate, model: "PreTrainedModel") -> Plan:
    params = candidate.settings.section("student_sft", StudentSftParams)
    rows = candidate.settings.section("synth", SynthParams).rows
    steps = count_steps(rows, params)
    machine = candidate.settings.machine
    together = rows_of_pass(params.batch, params.max_length, model, machine)
    return Plan("student_sft", together * params.max_length, params.batch / together, steps)


def _plan_influence(candidate: Candidate, model: "PreTrainedModel") -> Plan:
    settings = candidate.settings
    params = settings.section("influence", InfluenceParams)
    samples = settings.section("instruction", InstructionParams).samples
    rows = settings.section("probe", ProbeParams).prompts * samples
    shared = settings.machine.influence_batch or SHARED
    most = int(min(most_tokens(model, params.max_grad_norm > 0), 10**9))
    together = max(1, min(shared, most // params.max_length))
    return Plan("influence", together * params.max_length, 1.0, -(-rows // together))


def _load_trained(candidate: Candidate, device: torch.device) -> "PreTrainedModel":
    """The model as its stages train it: with the student's adapters, and checkpointing."""
    machine = candidate.settings.machine
    adapter = candidate.settings.section("adapter", AdapterParams)
    adapter = adapter if "student" in candidate.roles else NO_ADAPTERS
    model = add_adapters(load_model(candidate.folder), adapter, 0).to(device)
    return enable_checkpointing(model) if uses_checkpointing(machine, device) else model


def _measure_pace(model: "PreTrainedModel") -> Pace:
    """Bytes and seconds of a token, from backward passes over one and three rows."""
    device = model.device
    _backward(model, 1, device)  # pays for what happens once
    first, second = _backward(model, 1, device), _backward(model, 3, device)
    tokens = second.tokens - first.tokens
    return Pace(
        max(0.0, second.peak - first.peak) / tokens,
        max(second.seconds - first.seconds, second.seconds / 3) / tokens,
    )


def _backward(model: "PreTrainedModel", rows: int, device: torch.device) -> Measured:
    """A backward pass over rows of LONGEST equal tokens, measured."""
    ids = [(7 * k + 5) % model.config.get_text_config().vocab_size for k in range(LONGEST)]
    batch = [Row(ids, ids)] * rows
    model.zero_grad(set_to_none=True)
    forget_peak(device)
    start = time.monotonic()
    sum_mean_losses(model, batch, 0).backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.monotonic() - start
    return Measured("pace", rows * LONGEST, peak_bytes(device), seconds)


def _clock(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _table(rows: list[tuple[str, ...]]) -> tuple[str, ...]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
    cells = [zip(row, widths, strict=True) for row in rows]
    return tuple("  ".join(f"{text:<{width}}" for text, width in row).rstrip() for row in cells)
