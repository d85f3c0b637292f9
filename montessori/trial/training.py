"""Questions on a student and a teacher in training: one step of each stage, saved and reloaded."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import torch

from montessori.artifacts.files import new_folder, write_table
from montessori.artifacts.schemas import PROBE, ROWS
from montessori.models.adapters import NO_ADAPTERS, AdapterParams
from montessori.models.weights import load_model, save_model
from montessori.signals.influence.score import score_probe
from montessori.signals.influence.settings import LEAST_AUDIT, InfluenceParams
from montessori.signals.scoring import ScoringJob
from montessori.sources.tables import probe_table, rows_table
from montessori.train.loss import Row, row_losses, tokenize_rows
from montessori.train.settings import StudentSftParams, WarmupParams
from montessori.train.sft import train_student
from montessori.train.warmup import warm_up
from montessori.trial.candidate import Candidate
from montessori.trial.cost import measured_step, require_room
from montessori.trial.findings import Finding
from montessori.trial.rows import ROWS as COUNT

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAM, EXACT = 16, 36  # bytes for each parameter: weights, gradient, moments; and what influence has
STEP = 4  # rows of a step of warm-up


# ------------------------------------------------------------------------------------ influence
def ask_influence(candidate: Candidate) -> list[Finding]:
    """The audit of the stage `influence`: first order against the exact step on eight rows."""
    adapter = candidate.settings.section("adapter", AdapterParams)
    if adapter.rank:
        return [_audit(candidate, adapter), _audit(candidate, NO_ADAPTERS)]
    return [_audit(candidate, NO_ADAPTERS)]


def _audit(candidate: Candidate, adapter: AdapterParams) -> Finding:
    name = f"LoRA of rank {adapter.rank}" if adapter.rank else "all parameters"
    require_room(candidate, 2 * 4 if adapter.rank else EXACT, f"influence of {name}")
    inputs = _write_inputs(candidate)
    settings, machine = candidate.settings, candidate.settings.machine
    warmup = settings.section("warmup", WarmupParams)
    short = replace(warmup, rows=COUNT, epochs=1, batch=STEP)
    inputs["warmup"] = candidate.work / f"warmup-{adapter.rank}"
    longest = _longest(candidate, warmup.max_length)
    with measured_step(candidate, "warmup", STEP * longest):
        warm_up(
            candidate.folder,
            inputs["probe"],
            inputs["warmup"],
            short,
            settings.seed,
            machine,
            adapter=adapter,
        )
    params = settings.section("influence", InfluenceParams)
    audited = replace(params, references=COUNT, audit=LEAST_AUDIT, audit_spearman=-1.0)
    out = candidate.work / "influence"
    job = ScoringJob(inputs, out, candidate.work / "parts", machine, label=f"influence, {name}")
    with measured_step(candidate, "influence", COUNT * longest):
        found = score_probe(job, audited, candidate.work / "influence.csv")
    return _judge_audit(name, found or {}, params)


def _judge_audit(name: str, metrics: dict[str, object], params: InfluenceParams) -> Finding:
    audit = metrics.get("audit")
    if not isinstance(audit, dict):
        return Finding("influence", "problem", f"{name}: no audit was made")
    figures = (
        f"Spearman {audit['spearman']:.3f}, equal signs {audit['sign_agreement']:.0%}, largest "
        f"deviation {audit['max_deviation']:.2g} sd"
    )
    text = f"{name}: first order against the exact step on {audit['probes']} rows: {figures}"
    if audit["spearman"] >= params.audit_spearman:  # not so where it is undefined
        return Finding("influence", "ok", text)
    return Finding(
        "influence",
        "problem",
        f"{text}; the stage asks for {params.audit_spearman}",
        f"divide influence.learning_rate ({params.learning_rate:g}) by 10 and try again; if that "
        "does not help, set machine.influence_batch: 1, then influence.estimate: exact",
    )


def _write_inputs(candidate: Candidate) -> dict[str, Path]:
    """Folders of a probe of sixteen rows, of which warm-up takes eight, and of eight references."""
    probe, reference = candidate.work / "probe", candidate.work / "reference"
    with new_folder(probe, {}) as folder:
        table = probe_table([row._replace(prompt=None, raw=None) for row in candidate.seeds])
        write_table(table, folder / "rows.parquet", PROBE)
    with new_folder(reference, {}) as folder:
        write_table(_reference_table(candidate), folder / "rows.parquet", ROWS)
    return {"probe": probe, "reference": reference}


def _reference_table(candidate: Candidate) -> pl.DataFrame:
    return rows_table(candidate.references)[0].head(COUNT)


def _reference_rows(candidate: Candidate, max_length: int) -> list[Row]:
    dialogues = _reference_table(candidate)["messages"].to_list()
    rows = tokenize_rows(candidate.tokenizer, dialogues, max_length)
    return [row for row in rows if row.targets]


def _longest(candidate: Candidate, max_length: int) -> int:
    dialogues = [row.messages for row in (*candidate.seeds, *candidate.references)]
    return max(len(row.ids) for row in tokenize_rows(candidate.tokenizer, dialogues, max_length))


# ------------------------------------------------------------------------------------------ SFT
def ask_sft(candidate: Candidate) -> list[Finding]:
    """One step of the stage `student-sft` on eight rows, saved, loaded again, saved again."""
    settings = candidate.settings
    adapter = settings.section("adapter", AdapterParams)
    require_room(candidate, 2 * 4 if adapter.rank else ADAM, "SFT")
    params = settings.section("student_sft", StudentSftParams)
    rows = _reference_rows(candidate, params.max_length)
    before = mean_loss(load_model(candidate.folder), candidate, rows)
    dataset, out = candidate.work / "dataset", candidate.work / "student"
    with new_folder(dataset, {}) as folder:
        write_table(_reference_table(candidate), folder / "rows.parquet", ROWS)
    tokens = len(rows) * max(len(row.ids) for row in rows)
    with measured_step(candidate, "student_sft", tokens):
        metrics = train_student(
            candidate.folder,
            dataset,
            out,
            candidate.work / "sft.csv",
            replace(params, epochs=1, batch=COUNT),
            settings.seed,
            settings.machine,
            adapter=adapter,
        )
    trained = load_model(out)
    after = mean_loss(trained, candidate, rows)
    return [_judge_step(before, float(metrics["loss_first"]), after), _ask_reload(candidate, out)]


def _judge_step(before: float, first: float, after: float) -> Finding:
    text = f"one step on eight rows: loss {before:.4f} before, {after:.4f} after"
    if not math.isfinite(after):
        next = "divide student_sft.learning_rate by 10"
        return Finding("sft", "problem", f"{text}: the step broke the model", next)
    if abs(first - before) > 0.02 * abs(before) + 1e-3:
        return Finding(
            "sft",
            "problem",
            f"{text}, but the trainer saw {first:.4f} at its first step: it trains on other tokens "
            "or with another attention than the other stages",
            "report the model's config.json",
        )
    if after >= before:
        text, next = f"{text}: it did not fall", "lower student_sft.learning_rate"
        return Finding("sft", "note", text, next)
    return Finding("sft", "ok", text)


def _ask_reload(candidate: Candidate, folder: Path) -> Finding:
    """Whether a trained model keeps its logits when it is saved and loaded again."""
    again = candidate.work / "again"
    model = load_model(folder)
    first = _logits(model, candidate)
    again.mkdir(exist_ok=True)
    save_model(model, folder, again)
    worst = float((_logits(load_model(again), candidate) - first).abs().max())
    if worst > 0 or math.isnan(worst):
        return Finding(
            "reload",
            "problem",
            f"the trained model's logits change by {worst:.2g} when it is saved and loaded",
            "some weights are not saved or not loaded: report the model's config.json",
        )
    return Finding("reload", "ok", "saved and loaded again, the trained model has the same logits")


@torch.inference_mode()
def _logits(model: "PreTrainedModel", candidate: Candidate) -> torch.Tensor:
    row = _reference_rows(candidate, 10**6)[0]
    logits: torch.Tensor = model(input_ids=torch.tensor([row.ids])).logits
    return logits


@torch.inference_mode()
def mean_loss(model: "PreTrainedModel", candidate: Candidate, rows: list[Row]) -> float:
    """Mean loss over the rows' trained tokens, in nats."""
    sums, counts = row_losses(model, rows, candidate.tokenizer.pad_token_id or 0)
    return float(sums.sum() / counts.sum())
