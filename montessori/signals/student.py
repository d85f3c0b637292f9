"""Signals from forward passes of a warmed-up student: its loss on a row, and its uncertainty."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import torch

from montessori.artifacts.files import folder_digest
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import load_merged
from montessori.models.padding import pad_rows, pad_with_mask
from montessori.pipeline.parts import Parts, parts_digest
from montessori.progress import track_progress
from montessori.signals.table import write_scores
from montessori.train.device import choose_device
from montessori.train.loss import (
    IGNORED,
    Row,
    batch_by_length,
    comfortable_tokens,
    row_losses,
    tokenize_rows,
)
from montessori.train.unseen import read_unseen_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from montessori.pipeline.machine import Machine
    from montessori.signals.settings import StudentSignalParams

Measure = Literal["loss", "uncertainty"]
PART = {"row_id": pl.String, "value": pl.Float64}
BATCH = 64  # rows of a forward pass at most
TOKENS = 8192  # tokens of a forward pass at most: their logits fit beside an 8B student


def score_by_student(
    measure: Measure,
    warmup: Path,
    probe: Path,
    out: Path,
    settings: "StudentSignalParams",
    machine: "Machine",
    work: Path,
    label: str = "signal",
) -> dict[str, Any]:
    """Score the probe's kept rows that warm-up did not see; write `out`/scores.parquet.

    "loss" is the student's mean loss (nats) over a row's answer tokens, "uncertainty" the mean
    entropy (nats) of its next-token distribution at these tokens. The score is the value, or its
    negative with direction "low". Finished parts are kept under `work`. Returns metrics: those of
    the table, and the tokens of the forward passes. Raises MontessoriError when nothing is left
    after warm-up, a row has no response, or a value is not finite.
    """
    tokenizer = chat.load_tokenizer(warmup)
    frame = read_unseen_rows(warmup, probe)
    rows = tokenize_rows(tokenizer, frame["messages"].to_list(), settings.max_length)
    require_responses(rows, frame, probe, "student_signal.max_length")
    inputs = {"warmup": warmup, "probe": probe}
    digests = {name: folder_digest(path) for name, path in inputs.items()}
    params = {"measure": measure, **asdict(settings)}
    params.pop("direction")  # the sign is put on afterwards
    parts = Parts(work, parts_digest(params, digests, PART))
    device = choose_device(machine)
    model = load_merged(warmup).to(device).eval()
    pad = tokenizer.pad_token_id or 0
    starts = range(0, len(rows), settings.rows_per_part)
    with track_progress(len(rows), "rows", label) as progress:
        for part, start in enumerate(starts):
            some = slice(start, start + settings.rows_per_part)
            if not parts.find_part(part):
                found = values(MEASURES[measure], model, rows[some], pad)
                ids = frame["row_id"][some]
                _require_finite(found, ids.to_list(), measure)
                parts.write_part(part, pl.DataFrame({"row_id": ids, "value": found}, schema=PART))
            progress.advance(len(rows[some]))
    every = pl.concat([parts.read_part(part) for part in range(len(starts))])
    sign = 1.0 if settings.direction == "high" else -1.0
    facts = {
        "measure": measure,
        "direction": settings.direction,
        "template_hash": chat.template_hash(tokenizer),
    }
    metrics = write_scores(frame, (every["value"] * sign).to_list(), out, inputs, facts)
    parts.remove_all()
    tokens = sum(len(row.ids) for row in rows)
    return metrics | {"tokens_forward": tokens, "parameters": model.num_parameters()}


def values(
    measure: Callable[["PreTrainedModel", Sequence[Row], int], torch.Tensor],
    model: "PreTrainedModel",
    rows: Sequence[Row],
    pad: int,
) -> list[float]:
    """The measure of each row, in order; rows of like length share a forward pass."""
    found = [0.0] * len(rows)
    most = min(TOKENS, comfortable_tokens(model.device))
    with torch.inference_mode():
        for places in batch_by_length(rows, BATCH, most):
            measured = measure(model, [rows[i] for i in places], pad).tolist()
            for place, value in zip(places, measured, strict=True):
                found[place] = value
    return found


def mean_loss(model: "PreTrainedModel", rows: Sequence[Row], pad: int) -> torch.Tensor:
    """Mean loss of the answer tokens, nats, shape (rows,)."""
    sums, counts = row_losses(model, rows, pad)
    return sums / counts


def mean_entropy(model: "PreTrainedModel", rows: Sequence[Row], pad: int) -> torch.Tensor:
    """Mean entropy of the model's distribution at the answer tokens, nats, shape (rows,)."""
    device = model.device
    ids, attention = pad_with_mask([row.ids for row in rows], pad, device)  # (B, T)
    labels = pad_rows([row.labels for row in rows], IGNORED, device)[:, 1:]  # (B, T - 1)
    logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits[:, :-1]
    kept = labels != IGNORED
    logs = torch.log_softmax(logits[kept].float(), dim=-1)  # (answer tokens, V)
    entropies = -(logs.exp() * logs).sum(dim=-1)
    table = torch.zeros(labels.shape, device=device).masked_scatter(kept, entropies)
    return table.sum(dim=1) / kept.sum(dim=1)


MEASURES = {"loss": mean_loss, "uncertainty": mean_entropy}


def require_responses(rows: Sequence[Row], frame: pl.DataFrame, folder: Path, key: str) -> None:
    """Raise MontessoriError when a row has no answer token within the length that `key` sets."""
    bad = [row_id for row, row_id in zip(rows, frame["row_id"], strict=True) if not row.targets]
    if bad:
        raise MontessoriError(
            f"{len(bad)} rows have no response within the tokens that are read",
            where=f"{folder / 'rows.parquet'}, row {bad[0]}",
            expected="at least one assistant token in every row",
            next=f"raise {key} in params.yaml, or drop the rows",
        )


def _require_finite(found: Sequence[float], row_ids: Sequence[str], measure: str) -> None:
    bad = [i for i, value in enumerate(found) if not torch.isfinite(torch.tensor(value))]
    if bad:
        raise MontessoriError(
            f"the {measure} of {len(bad)} of {len(found)} rows is not a finite number",
            where=f"probe row {row_ids[bad[0]]}",
            expected="finite weights and losses",
            next="look at the row, and at the loss in the warm-up's metrics; then `dvc repro`",
        )
