"""Local data influence by taking the step: slow, obvious, and what the estimate must match.

Influence of a row x: L_ref(theta) - L_ref(theta'), theta' = AdamW step(theta, x); Montessori-
Instruct, arXiv 2410.14208, section 3.2. The optimizer is torch's own, with the carried moments.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from montessori.train.adamw import AdamWState, trained_parameters
from montessori.train.loss import (
    Row,
    batch_by_length,
    comfortable_tokens,
    row_losses,
    sum_mean_losses,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ExactStep:
    """One AdamW step per row from the same weights, each followed by a full reference pass.

    Works in the number format of `model`, whose weights are restored after every step. A group of
    reference rows is a list of indices; its loss is the mean over its rows of each row's mean
    token loss. Above `max_grad_norm` (0: never) a gradient is clipped before the step.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        state: AdamWState,
        learning_rate: float,
        references: Sequence[Row],
        groups: Sequence[Sequence[int]],
        pad: int,
        max_grad_norm: float = 0.0,
        batch: int = 32,
    ) -> None:
        self.model, self.state, self.learning_rate = model, state, learning_rate
        self.references, self.groups = references, [list(group) for group in groups]
        self.pad, self.batch, self.max_grad_norm = pad, batch, max_grad_norm
        self.parameters = trained_parameters(model)
        self.weights = [value.detach().clone() for value in self.parameters.values()]
        self.before = self.reference_losses()  # (groups,), fp64, before any step
        self.neutral = self.measure_step([])  # (groups,), fp64: what the momentum alone does

    def score_rows(
        self, rows: Sequence[Row], advance: Callable[[int], None] | None = None
    ) -> torch.Tensor:
        """Influence of each row less that of the momentum alone, fp64, shape (rows, groups)."""
        scores = self.neutral.new_zeros(len(rows), len(self.groups))
        for i, row in enumerate(rows):
            scores[i] = self.measure_step([row]) - self.neutral
            if advance:
                advance(1)
        return scores

    def score_group(self, rows: Sequence[Row]) -> torch.Tensor:
        """Centred influence of the step on all rows, then without each, (1 + rows, groups)."""
        steps = [self.measure_step(rows)]
        for k in range(len(rows)):
            steps.append(self.measure_step([*rows[:k], *rows[k + 1 :]]))
        return torch.stack([step - self.neutral for step in steps])

    def measure_step(self, rows: Sequence[Row]) -> torch.Tensor:
        """Fall of each group's loss by one step on the mean loss of `rows`, fp64, (groups,).

        Positive is better. Without rows it is the step of the momentum alone.
        """
        self.model.zero_grad(set_to_none=True)
        if rows:
            loss = sum_mean_losses(self.model, rows, self.pad) / len(rows)
            loss.backward()
        for parameter in self.parameters.values():
            if parameter.grad is None:  # rows that do not use it: its gradient is zero
                parameter.grad = torch.zeros_like(parameter)
        if self.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.max_grad_norm)
        self._make_optimizer().step()
        fall = self.before - self.reference_losses()
        self._restore_weights()
        return fall

    def reference_losses(self) -> torch.Tensor:
        """Loss of each group at the current weights, fp64, shape (groups,)."""
        losses = torch.zeros(len(self.references), dtype=torch.float64)
        tokens = comfortable_tokens(self.model.device)
        with torch.no_grad():
            for indices in batch_by_length(self.references, self.batch, tokens):
                rows = [self.references[i] for i in indices]
                sums, counts = row_losses(self.model, rows, self.pad)
                losses[indices] = (sums.double() / counts).cpu()
        return torch.stack([losses[group].mean() for group in self.groups])

    def _make_optimizer(self) -> torch.optim.AdamW:
        """torch's own optimizer in the state that warm-up left, a copy for each step."""
        state = self.state
        optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=self.learning_rate,
            betas=state.betas,
            eps=state.eps,
            weight_decay=state.weight_decay,
        )
        for name, parameter in self.parameters.items():
            optimizer.state[parameter] = {
                "step": torch.tensor(float(state.steps_of(name))),
                "exp_avg": state.exp_avg[name].to(parameter.dtype, copy=True),
                "exp_avg_sq": state.exp_avg_sq[name].to(parameter.dtype, copy=True),
            }
        return optimizer

    def _restore_weights(self) -> None:
        self.model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for parameter, weight in zip(self.parameters.values(), self.weights, strict=True):
                parameter.copy_(weight)
