"""The loss of dialogue rows on their assistant tokens; what warm-up and influence measure."""

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.padding import pad_rows, pad_with_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

IGNORED = -100
#: Tokens of a batch that run fastest, where there is such a bound: a CPU's caches hold this many.
TOKENS = {"cpu": 2048}
MEASURED_ROWS = 64  # rows of a forward pass at most, where nothing is trained
MEASURED_TOKENS = 8192  # and tokens: their logits fit beside an 8B student


@dataclass(frozen=True)
class Row:
    """A tokenised dialogue: token ids, and labels that are `IGNORED` off the assistant's tokens.

    `lost` is how many of the assistant's tokens stood behind the greatest length; `plain` and
    `joined` are those of `chat.Tokens`.
    """

    ids: list[int]
    labels: list[int]
    lost: int = 0
    plain: bool = False
    joined: bool = False

    @property
    def targets(self) -> int:
        """Number of predicted tokens; the first token of a row is never predicted."""
        return sum(label != IGNORED for label in self.labels[1:])


def tokenize_rows(
    tokenizer: "PreTrainedTokenizerFast",
    dialogues: Sequence[Sequence[Mapping[str, str]]],
    max_length: int,
) -> list[Row]:
    """The rows of dialogues, cut to their first `max_length` tokens; see
    `chat.tokenize_dialogues`."""
    rows = []
    for tokens in chat.tokenize_dialogues(tokenizer, dialogues, sys.maxsize):
        labels = [i if kept else IGNORED for i, kept in zip(tokens.ids, tokens.mask, strict=True)]
        lost = sum(tokens.mask[max_length:])
        ids, labels = tokens.ids[:max_length], labels[:max_length]
        rows.append(Row(ids, labels, lost, tokens.plain, tokens.joined))
    return rows


def count_changed_rows(rows: Sequence[Row]) -> dict[str, int]:
    """Rows that are not read as they stand, for metrics; what there is none of is left out.

    rows_cut: lost the end of an answer. rows_special_text: hold the text of a special token, which
    is read as text. rows_system_joined: have a system prompt that the chat template does not show,
    which is put before the user's first turn.
    """
    counts = {
        "rows_cut": sum(bool(row.targets and row.lost) for row in rows),
        "rows_special_text": sum(row.plain for row in rows),
        "rows_system_joined": sum(row.joined for row in rows),
    }
    return {name: count for name, count in counts.items() if count}


def require_targets(rows: Sequence[Row], folder: Path, key: str, max_length: int) -> list[Row]:
    """The rows with something to learn. Raises MontessoriError when there is none.

    The rows are those of `folder`/rows.parquet; `key` of params.yaml set `max_length`.
    """
    usable = [row for row in rows if row.targets]
    if usable:
        return usable
    raise MontessoriError(
        f"none of the {len(rows)} rows has a response within {max_length} tokens",
        where=str(folder / "rows.parquet"),
        expected="rows with assistant text",
        next=f"raise {key} in params.yaml, or check the rows",
    )


def row_losses(
    model: "PreTrainedModel", rows: Sequence[Row], pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of token losses, natural log, shape (rows,), and numbers of predicted tokens, (rows,).

    Rows are padded at the right with token `pad`, which no row attends to.
    """
    device = model.device
    ids, attention = pad_with_mask([row.ids for row in rows], pad, device)  # (B, T)
    labels = pad_rows([row.labels for row in rows], IGNORED, device)[:, 1:]  # (B, T - 1)
    equal = len({len(row.ids) for row in rows}) == 1
    kept = labels != IGNORED
    # As wide as the logits: a slice of these would be copied once more on the way back.
    predicting = functional.pad(kept, (0, 1))  # (B, T)
    mask = None if equal else attention
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[predicting]  # (n, V)
    losses = functional.cross_entropy(logits, labels[kept], reduction="none")
    table = torch.zeros_like(labels, dtype=losses.dtype).masked_scatter(kept, losses)
    return table.sum(dim=1), kept.sum(dim=1)


def sum_mean_losses(model: "PreTrainedModel", rows: Sequence[Row], pad: int) -> torch.Tensor:
    """Sum over rows of each row's mean token loss, a scalar; divide by the number of rows."""
    sums, counts = row_losses(model, rows, pad)
    return (sums / counts).sum()


def comfortable_tokens(device: torch.device) -> float:
    """Most tokens of a batch on the device for the best speed; infinite where nothing is known."""
    return TOKENS.get(device.type, math.inf)


def batch_by_length(
    rows: Sequence[Row], batch: int, tokens: float = math.inf
) -> Iterator[list[int]]:
    """Indices of rows in batches, short rows first; each index once.

    A batch has at most `batch` rows and, with its padding, at most `tokens` tokens; a row longer
    than that is a batch of its own.
    """
    together: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: len(rows[i].ids)):
        padded = (len(together) + 1) * len(rows[i].ids)
        if together and (len(together) == batch or padded > tokens):
            yield together
            together = []
        together.append(i)
    if together:
        yield together


def split_by_tokens(rows: Sequence[Row], tokens: float) -> list[list[Row]]:
    """The rows in one part, as they are, if with padding they have at most `tokens` tokens.

    Else in several parts, by length.
    """
    if len(rows) * max(len(row.ids) for row in rows) <= tokens:
        return [list(rows)]
    return [[rows[i] for i in part] for part in batch_by_length(rows, len(rows), tokens)]


def measure_rows(
    measure: Callable[["PreTrainedModel", Sequence[Row], int], torch.Tensor],
    model: "PreTrainedModel",
    rows: Sequence[Row],
    pad: int,
) -> list[float]:
    """The measure of each row, in order; rows of similar length share a forward pass."""
    values = [0.0] * len(rows)
    tokens = min(MEASURED_TOKENS, comfortable_tokens(model.device))
    with torch.inference_mode():
        for places in batch_by_length(rows, MEASURED_ROWS, tokens):
            measured = measure(model, [rows[i] for i in places], pad).tolist()
            for place, value in zip(places, measured, strict=True):
                values[place] = value
    return values


def mean_losses(model: "PreTrainedModel", rows: Sequence[Row], pad: int) -> torch.Tensor:
    """Mean loss of each row's predicted tokens, nats, shape (rows,)."""
    sums, counts = row_losses(model, rows, pad)
    return sums / counts
