"""Local data influence by really taking the step: slow, obvious, and what the estimate must match.

Influence of a row x: L_ref(theta) - L_ref(theta'), theta' = AdamW step(theta, x); Montessori-
Instruct, arXiv 2410.14208, section 3.2. The optimizer is torch's own, with the carried moments.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from montessori.influence.adamw import AdamWState
from montessori.train.loss import Row, by_length, mean_row_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ExactStep:
    """One AdamW step per probe from the same weights, each followed by a full reference pass.

    Works in the number format of `model`, whose weights are restored after every step. The
    reference loss is the mean over rows of each row's mean token loss.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        state: AdamWState,
        learning_rate: float,
        references: Sequence[Row],
        pad: int,
        batch: int = 32,
    ) -> None:
        self.model, self.state, self.learning_rate = model.eval(), state, learning_rate
        self.references, self.pad, self.batch = references, pad, batch
        self.weights = [parameter.detach().clone() for parameter in model.parameters()]
        self.before = self.reference_loss()

    def influence(self, row: Row) -> float:
        """Fall of the reference loss by one step on `row`; positive is better."""
        self.model.zero_grad(set_to_none=True)
        mean_row_loss(self.model, [row], self.pad).backward()
        for parameter in self.model.parameters():
            if parameter.grad is None:  # a part this row does not use: its gradient is zero
                parameter.grad = torch.zeros_like(parameter)
        return self._after_step()

    def momentum_only(self) -> float:
        """Fall of the reference loss by one step with a zero gradient."""
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return self._after_step()

    def reference_loss(self) -> float:
        """Mean reference loss at the current weights, summed in fp64."""
        total = 0.0
        with torch.no_grad():
            for indices in by_length(self.references, self.batch):
                rows = [self.references[i] for i in indices]
                total += mean_row_loss(self.model, rows, self.pad).double().item()
        return total / len(self.references)

    def _after_step(self) -> float:
        self._optimizer().step()
        fall = self.before - self.reference_loss()
        self._restore()
        return fall

    def _optimizer(self) -> torch.optim.AdamW:
        state = self.state
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.learning_rate,
            betas=state.betas,
            eps=state.eps,
            weight_decay=state.weight_decay,
        )
        for name, parameter in self.model.named_parameters():
            optimizer.state[parameter] = {
                "step": torch.tensor(float(state.step)),
                "exp_avg": state.exp_avg[name].to(parameter.dtype, copy=True),
                "exp_avg_sq": state.exp_avg_sq[name].to(parameter.dtype, copy=True),
            }
        return optimizer

    def _restore(self) -> None:
        self.model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for parameter, weight in zip(self.model.parameters(), self.weights, strict=True):
                parameter.copy_(weight)
