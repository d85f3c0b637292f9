"""Local data influence to first order: -grad L_ref . delta(x), delta the full AdamW step.

The reference gradient is taken once, a probe costs one backward pass. `delta` contains this row's
squared gradient; freezing the second moment makes the estimate useless (Spearman 0.02).
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import torch

from montessori.influence.adamw import AdamWState, next_step
from montessori.train.loss import Row, by_length, mean_row_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def reference_gradients(
    model: "PreTrainedModel",
    references: Sequence[Row],
    groups: Sequence[Sequence[int]],
    pad: int,
    batch: int = 32,
) -> dict[str, torch.Tensor]:
    """Gradients of the reference loss by parameter name, each (len(groups), elements).

    A group is a list of row indices; its loss is the mean over its rows of each row's mean token
    loss, so neither `batch` nor the lengths of other rows matter.
    """
    model.eval()
    stacked = {
        name: parameter.new_zeros(len(groups), parameter.numel())
        for name, parameter in model.named_parameters()
    }
    for k, group in enumerate(groups):
        model.zero_grad(set_to_none=True)
        rows = [references[i] for i in group]
        for indices in by_length(rows, batch):
            loss = mean_row_loss(model, [rows[i] for i in indices], pad) / len(rows)
            loss.backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                stacked[name][k] = parameter.grad.flatten()
    model.zero_grad(set_to_none=True)
    return stacked


class FirstOrder:
    """Scores rows while the context is open; a row's full gradient is never held.

    `gradients` are those of `reference_gradients`. A hook on each parameter takes its part of the
    dot product as soon as its gradient is there, and frees the gradient. Products are in the
    model's number format, sums over parameters in fp64.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        state: AdamWState,
        learning_rate: float,
        gradients: dict[str, torch.Tensor],
        pad: int,
    ) -> None:
        self.model, self.state, self.pad = model.eval(), state, pad
        self.learning_rate, self.gradients = learning_rate, gradients
        named = dict(model.named_parameters())
        self.steps = {name: next_step(state, name, value.dtype) for name, value in named.items()}
        self.rest = {
            name: self.steps[name].update(torch.zeros_like(value)) for name, value in named.items()
        }  # the step of a zero gradient
        self.neutral = self._neutral(named)
        self._sum = torch.zeros_like(self.neutral)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> "FirstOrder":
        for name, parameter in self.model.named_parameters():
            hook = self._hook(name)
            self._hooks.append(parameter.register_post_accumulate_grad_hook(hook))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def centred(self, row: Row) -> torch.Tensor:
        """I_c(x) = -grad L_ref . (delta(x) - delta(0)) for each group, fp64, shape (groups,)."""
        self._sum = torch.zeros_like(self.neutral)
        mean_row_loss(self.model, [row], self.pad).backward()
        return self.learning_rate * self._sum

    def _hook(self, name: str) -> Callable[[torch.Tensor], None]:
        def take(parameter: torch.Tensor) -> None:
            gradient = parameter.grad
            parameter.grad = None
            if gradient is None:
                return
            update = self.steps[name].update(gradient).sub_(self.rest[name])
            self._sum += (self.gradients[name] @ update.flatten()).double()

        return take

    def _neutral(self, named: dict[str, torch.nn.Parameter]) -> torch.Tensor:
        """-grad L_ref . delta(0), fp64, shape (groups,): what the momentum alone does."""
        total = torch.zeros((), dtype=torch.float64, device=self.model.device)
        for name, value in named.items():
            whole = self.rest[name] + self.state.weight_decay * value.detach()
            total = total + (self.gradients[name] @ whole.flatten()).double()
        return self.learning_rate * total
