"""Signals from forward passes of a warmed-up student: its loss on a row, and its uncertainty."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import torch

from montessori.models import chat
from montessori.models.adapters import load_merged
from montessori.models.padding import pad_rows, pad_with_mask
from montessori.progress import track_progress
from montessori.signals.scoring import ScoringJob, require_finite, split_unanswered
from montessori.signals.table import write_scores
from montessori.train.device import choose_device
from montessori.train.loss import (
    IGNORED,
    Row,
    count_changed_rows,
    mean_losses,
    measure_rows,
    tokenize_rows,
)
from montessori.train.unseen import read_unseen_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from montessori.signals.settings import StudentSignalParams

Measure = Literal["loss", "uncertainty"]
PART = {"row_id": pl.String, "value": pl.Float64}


def score_by_student(
    job: ScoringJob, measure: Measure, settings: "StudentSignalParams"
) -> dict[str, Any]:
    """Score the probe's kept rows that warm-up did not see; write `out`/scores.parquet.

    `job.inputs` are warmup and probe. "loss" is the student's mean loss (nats) over a row's answer
    tokens, "uncertainty" the mean entropy (nats) of its next-token distribution at these tokens.
    The score is the value, or its negative with direction "low". Returns metrics: those of the
    table, and the tokens of the forward passes. Raises MontessoriError when nothing is left after
    warm-up or has a response, or a value is not finite.
    """
    warmup, probe = job.inputs["warmup"], job.inputs["probe"]
    tokenizer = chat.load_tokenizer(warmup)
    frame = read_unseen_rows(warmup, probe)
    rows = tokenize_rows(tokenizer, frame["messages"].to_list(), settings.max_length)
    rows, frame, unanswered = split_unanswered(rows, frame, probe, "student_signal.max_length")
    params = {"measure": measure, **asdict(settings)}
    params.pop("direction")  # the sign is applied to finished parts
    parts = job.open_parts(params, PART)
    model = load_merged(warmup).to(choose_device(job.machine)).eval()
    pad = tokenizer.pad_token_id or 0
    starts = range(0, len(rows), settings.rows_per_part)
    with track_progress(len(rows), "rows", job.label) as progress:
        for part, start in enumerate(starts):
            places = slice(start, start + settings.rows_per_part)
            if not parts.find_part(part):
                values = measure_rows(MEASURES[measure], model, rows[places], pad)
                ids = frame["row_id"][places]
                require_finite([math.isfinite(value) for value in values], ids.to_list(), measure)
                table = pl.DataFrame({"row_id": ids, "value": values}, schema=PART)
                parts.write_part(part, table)
            progress.advance(len(rows[places]))
    table = pl.concat([parts.read_part(part) for part in range(len(starts))])
    sign = 1.0 if settings.direction == "high" else -1.0
    scores = (table["value"] * sign).to_list()
    facts = {
        "measure": measure,
        "direction": settings.direction,
        "template_hash": chat.template_hash(tokenizer),
    }
    metrics = write_scores(frame, scores, job.out, job.inputs, facts)
    parts.remove_all()
    if unanswered:
        metrics["rows_without_response"] = unanswered
    metrics |= count_changed_rows(rows)
    tokens = sum(len(row.ids) for row in rows)
    return metrics | {"tokens_forward": tokens, "parameters": model.num_parameters()}


def mean_entropy(model: "PreTrainedModel", rows: Sequence[Row], pad: int) -> torch.Tensor:
    """Mean entropy of the model's distribution at the answer tokens, nats, shape (rows,)."""
    device = model.device
    ids, attention = pad_with_mask([row.ids for row in rows], pad, device)  # (B, T)
    labels = pad_rows([row.labels for row in rows], IGNORED, device)[:, 1:]  # (B, T - 1)
    logits = model(input_ids=ids, attention_mask=attention, use_cache=False).logits
    logits = logits[:, :-1]  # (B, T - 1, V); the last predicts nothing
    kept = labels != IGNORED  # (B, T - 1)
    # Only the answer tokens' logits become float and probabilities: the vocabulary is large.
    logs = torch.log_softmax(logits[kept].float(), dim=-1)  # (answer tokens, V)
    entropies = -(logs.exp() * logs).sum(dim=-1)  # (answer tokens,)
    table = torch.zeros(labels.shape, device=device).masked_scatter(kept, entropies)
    return table.sum(dim=1) / kept.sum(dim=1)


MEASURES = {"loss": mean_losses, "uncertainty": mean_entropy}
