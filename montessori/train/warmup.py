"""The warm-up of a student, which keeps its AdamW moments for local data influence."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import torch

from montessori.artifacts.files import new_folder, read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import NO_ADAPTERS, AdapterParams, add_adapters, save_adapters
from montessori.models.weights import enable_checkpointing, load_model, save_model
from montessori.progress import track_progress
from montessori.seeding import seed_of
from montessori.train.adamw import AdamWState, optimizer_state, trained_parameters, write_state
from montessori.train.curve import require_finite
from montessori.train.device import choose_device, uses_checkpointing
from montessori.train.loss import (
    Row,
    count_changed_rows,
    require_targets,
    row_losses,
    split_by_tokens,
    tokenize_rows,
)
from montessori.train.memory import affordable_tokens, bytes_to_come, explain_memory
from montessori.train.order import epoch_order

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from montessori.pipeline.machine import Machine
    from montessori.train.settings import WarmupParams

KIND = "warmup"
RATE_KEY = "warmup.learning_rate"


@explain_memory(
    "not enough memory to warm the student up",
    "set machine.gradient_checkpointing: on or adapter.rank, or lower warmup.max_length",
)
def warm_up(
    student: Path,
    probe: Path,
    out: Path,
    settings: "WarmupParams",
    seed: int,
    machine: "Machine",
    label: str = "warmup",
    adapter: AdapterParams = NO_ADAPTERS,
) -> dict[str, Any]:
    """Train the student in folder `student` on the first kept rows of `probe`; write folder `out`.

    `out` is a model folder plus moments.safetensors and optimizer.json; with adapters
    the weights are the student's own, and what was trained is in adapter/. Everything is fp32.
    Returns metrics: rows, rows left for influence, steps, tokens, first and last loss (nats per
    token).
    Raises MontessoriError when the probe has too few rows, none of them has a response, or the
    loss breaks.
    """
    tokenizer = chat.load_tokenizer(student)
    kept = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    first = first_prompts(kept, settings.rows)
    _require_rows(first.height, kept.height, settings.rows, probe)
    rows = tokenize_rows(tokenizer, first["messages"].to_list(), settings.max_length)
    usable = require_targets(rows, probe, "warmup.max_length", settings.max_length)
    pad = tokenizer.pad_token_id or 0
    facts = {"rows": len(usable), "template_hash": chat.template_hash(tokenizer)}
    with new_folder(out, {"student": student, "probe": probe}, facts) as folder:
        device, order = choose_device(machine), seed_of(seed, KIND)
        model = add_adapters(load_model(student), adapter, order)
        if uses_checkpointing(machine, device):
            enable_checkpointing(model)
        losses, state = train_rows(model.to(device), usable, pad, settings, order, label)
        save = save_adapters if adapter.rank else save_model
        save(model, student, folder)
        write_state(folder, replace(state, rows=tuple(first["row_id"])))
    return {
        "rows": len(usable),
        "rows_left": kept.height - first.height,
        "steps": state.step,
        "rows_without_response": len(rows) - len(usable),
        **count_changed_rows(usable),
        "tokens": sum(len(row.ids) for row in usable),
        "tokens_trained": settings.epochs * sum(len(row.ids) for row in usable),
        "parameters": model.num_parameters(),
        "loss_first": _mean_loss(losses[: max(1, len(losses) // 10)]),
        "loss_last": _mean_loss(losses[-max(1, len(losses) // 10) :]),
    }


def first_prompts(kept: pl.DataFrame, rows: int) -> pl.DataFrame:
    """The first whole prompts of kept probe rows, in table order, with at most `rows` rows."""
    prompts = kept.group_by("prompt_id", maintain_order=True).len()
    inside = prompts.filter(pl.col("len").cum_sum() <= rows)
    return kept.filter(pl.col("prompt_id").is_in(inside["prompt_id"].to_list()))


def train_rows(
    model: "PreTrainedModel",
    rows: Sequence[Row],
    pad: int,
    settings: "WarmupParams",
    seed: int,
    label: str = "warmup",
) -> tuple[list[float], AdamWState]:
    """AdamW over `rows`; the loss of each step (mean over its assistant tokens), and the state.

    `seed` sets the order of the rows and whatever a model draws in training.
    """
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(
        trained_parameters(model).values(), lr=settings.learning_rate, weight_decay=0.0
    )
    lengths = [len(row.ids) for row in rows]
    order = [
        indices[i : i + settings.batch]
        for indices in (
            epoch_order(lengths, settings.batch, seed, epoch) for epoch in range(settings.epochs)
        )
        for i in range(0, len(indices), settings.batch)
    ]
    rising = round(settings.warmup * len(order))
    tokens = affordable_tokens(model, bytes_to_come(model))
    losses = []
    model.train()
    with track_progress(len(order), "steps", label) as progress:
        for step, indices in enumerate(order):
            rate = settings.learning_rate * min(1.0, (step + 1) / max(1, rising))
            optimizer.param_groups[0]["lr"] = rate
            batch = [rows[i] for i in indices]
            losses.append(_take_step(model, optimizer, batch, pad, settings, tokens))
            require_finite(losses[-1], step + 1, RATE_KEY)
            progress.advance(1, loss=losses[-1])
    return losses, optimizer_state(model, optimizer)


def _take_step(
    model: "PreTrainedModel",
    optimizer: torch.optim.AdamW,
    rows: list[Row],
    pad: int,
    settings: "WarmupParams",
    tokens: float,
) -> float:
    """One step on the mean loss of the rows' tokens; rows that do not fit together add up."""
    optimizer.zero_grad(set_to_none=True)
    targets = sum(row.targets for row in rows)
    total = 0.0
    for part in split_by_tokens(rows, tokens):
        loss = row_losses(model, part, pad)[0].sum() / targets
        loss.backward()
        total += loss.item()
    if settings.max_grad_norm:
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
    optimizer.step()
    return total


def _mean_loss(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _require_rows(first: int, kept: int, asked: int, probe: Path) -> None:
    if 0 < first < kept:
        return
    reason = "no whole prompt fits in" if first == 0 else "no row is left for influence after"
    raise MontessoriError(
        f"{reason} the first {asked} of {kept} kept rows",
        where=f"{probe / 'rows.parquet'}; params.yaml, key warmup.rows",
        expected="at least one prompt for warm-up, and rows after it",
        next="change warmup.rows or raise probe.prompts in params.yaml, then `dvc repro`",
    )
