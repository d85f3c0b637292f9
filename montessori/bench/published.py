"""The published procedure of local data influence, without any speed-up, as a reference for time.

One probe at a time: load weights and optimizer state from disk, take the AdamW step on the probe,
measure the reference loss in batches of 8, with all rows padded to a fixed length. Montessori-
Instruct, arXiv 2410.14208, section 3.2, and its code of 2025-01. Number format: that of `model`.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from montessori.train.adamw import AdamWState
from montessori.train.loss import IGNORED, Row, row_losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LENGTH = 1024  # tokens that rows are padded to, if the context is that long
BATCH = 8  # reference rows of a forward pass


@dataclass
class Parts:
    """Seconds spent so far on loading, stepping and measuring the reference loss."""

    load: float = 0.0
    step: float = 0.0
    reference: float = 0.0
    falls: list[float] = field(default_factory=list)  # influence of each probe, nats per token

    @property
    def seconds(self) -> float:
        """The sum of the parts."""
        return self.load + self.step + self.reference


class Published:
    """Measures influence by the published procedure; `folder` holds weights and state."""

    def __init__(
        self,
        model: "PreTrainedModel",
        state: AdamWState,
        learning_rate: float,
        references: Sequence[Row],
        pad: int,
        folder: Path,
    ) -> None:
        self.model, self.learning_rate, self.pad = model, learning_rate, pad
        self.length = min(LENGTH, int(model.config.max_position_embeddings))
        self.references = [self._pad_row(row) for row in references]
        self.file = folder / "state.safetensors"
        self.state = state
        self._save_state()
        self.before = self._reference_loss()

    def measure_rows(self, rows: Sequence[Row]) -> Parts:
        """Measure the influence of the rows and the time of each part."""
        parts = Parts()
        for row in rows:
            times = [time.perf_counter()]
            optimizer = self._load_state()
            times.append(self._read_clock())
            sums, counts = row_losses(self.model, [self._pad_row(row)], self.pad)
            (sums / counts).sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            times.append(self._read_clock())
            parts.falls.append(self.before - self._reference_loss())
            times.append(self._read_clock())
            parts.load += times[1] - times[0]
            parts.step += times[2] - times[1]
            parts.reference += times[3] - times[2]
        # The last step changed the weights; later measurements need the original ones.
        self._load_state()
        return parts

    def _read_clock(self) -> float:
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _pad_row(self, row: Row) -> Row:
        missing = self.length - len(row.ids)
        return Row(row.ids + [self.pad] * missing, row.labels + [IGNORED] * missing)

    def _reference_loss(self) -> float:
        """The mean over batches of the batch's mean token loss, as in the released code."""
        means = []
        with torch.no_grad():
            for start in range(0, len(self.references), BATCH):
                batch = self.references[start : start + BATCH]
                sums, counts = row_losses(self.model, batch, self.pad)
                means.append((sums.sum() / counts.sum()).item())
        return sum(means) / len(means)

    def _save_state(self) -> None:
        from safetensors.torch import save_file

        tensors = {}
        for name, value in self.model.named_parameters():
            tensors[f"weight.{name}"] = value.detach().contiguous()
            tensors[f"exp_avg.{name}"] = self.state.exp_avg[name].to(value.dtype).contiguous()
            tensors[f"exp_avg_sq.{name}"] = self.state.exp_avg_sq[name].to(value.dtype).contiguous()
        save_file(tensors, self.file)

    def _load_state(self) -> torch.optim.AdamW:
        from safetensors.torch import load_file

        tensors = load_file(self.file, device=str(self.model.device))
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.learning_rate,
            betas=self.state.betas,
            eps=self.state.eps,
            weight_decay=self.state.weight_decay,
        )
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"weight.{name}"])
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(self.state.step)),
                    "exp_avg": tensors[f"exp_avg.{name}"],
                    "exp_avg_sq": tensors[f"exp_avg_sq.{name}"],
                }
        return optimizer
