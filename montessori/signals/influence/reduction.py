"""The sum over parameters of -grad L_ref . (delta(g) - delta(0)), fed gradient by gradient.

delta(g) is the AdamW step of a row's gradient g, delta(0) the step of the momentum alone. The step
contains the row's own squared gradient: with a frozen second moment the estimate is useless
(Spearman 0.02 with the exact influence).
"""

from collections.abc import Callable, Mapping
from functools import cache

import torch

from montessori.errors import MontessoriError
from montessori.train.adamw import AdamWState, Step, next_step

#: Elements worked on at once: small enough that a block and its temporaries stay in cache.
BLOCK = 2**17


class Reduction:
    """Centred influences of some rows on some reference groups, per unit of learning rate.

    `gradients` are the reference gradients by parameter name, each (groups, elements). `add_dense`
    and `add_sparse` take the rows' gradients in any order of parameters and add to `sums`. Products
    are in the number format of the reference gradients, sums over parameters in fp64. With
    `compiled` one kernel made by torch.compile reads everything once, in fp32 or fp64.
    """

    def __init__(
        self,
        state: AdamWState,
        parameters: Mapping[str, torch.Tensor],
        gradients: Mapping[str, torch.Tensor],
        compiled: bool = False,
    ) -> None:
        self.gradients = gradients
        self._share = _compiled_share() if compiled else sum_share
        self._block = 0 if compiled else BLOCK
        self.steps = {name: next_step(state, name, g.dtype) for name, g in gradients.items()}
        self.rest = {}  # the step of the momentum, (*parameter.shape)
        for name, step in self.steps.items():
            self.rest[name] = step.update(torch.zeros_like(step.momentum))
        self.neutral = self._sum_momentum_step(state, parameters)  # (groups,), fp64
        self.scale: torch.Tensor | None = None  # factors of the rows' gradients, (rows,)
        self.sums = self.neutral.new_zeros(0, len(self.neutral))  # (rows, groups), fp64

    def start_sums(self, rows: int) -> None:
        """Set the sums of `rows` rows to zero."""
        self.sums = self.neutral.new_zeros(rows, len(self.neutral))

    def add_dense(self, name: str, gradient: torch.Tensor) -> None:
        """Add a parameter's share, from gradients of shape (rows, *parameter.shape)."""
        step, rest, reference = self.steps[name], self.rest[name], self.gradients[name]
        gradient = self._scale_rows(gradient).flatten(1)  # (rows, elements)
        # Few rows at a time, so that a block of BLOCK elements stays in the cache.
        size = max(1, self._block // rest.numel()) if self._block else len(gradient)
        rest, step = rest.flatten(), step.flat()  # (elements,)
        for start in range(0, len(gradient), size):
            block = gradient[start : start + size]  # (size, elements)
            self.sums[start : start + size] += self._share(step, rest, block, reference).double()

    def add_sparse(
        self, name: str, rows: torch.Tensor, index: torch.Tensor, gradient: torch.Tensor
    ) -> None:
        """Add the share of an embedding whose gradients are zero off some of its vectors.

        Vector `index[i]` of row `rows[i]` has the gradient `gradient[i]`. A zero gradient takes the
        step of the momentum, which centring removes, so the other vectors add nothing.
        """
        step, reference = self.steps[name], self.gradients[name]
        if self.scale is not None:
            gradient = gradient * self.scale[rows, None].to(gradient.dtype)
        part = Step(step.momentum[index], step.spread[index], step.gain, step.gain_sq, step.eps)
        update = part.update(gradient.to(reference.dtype)).sub_(
            self.rest[name][index]
        )  # (n, width)
        table = reference.view(len(reference), *step.momentum.shape)  # (groups, vocabulary, width)
        vectors = table[:, index]  # (groups, n, width)
        self.sums.index_add_(0, rows, torch.einsum("nd,knd->nk", update, vectors).double())

    def _scale_rows(self, gradient: torch.Tensor) -> torch.Tensor:
        if self.scale is None:
            return gradient
        factors = self.scale.to(gradient.dtype)
        return gradient * factors.view(-1, *[1] * (gradient.dim() - 1))

    def _sum_momentum_step(
        self, state: AdamWState, parameters: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """-grad L_ref . delta(0), fp64, shape (groups,): what the momentum alone does."""
        total = torch.zeros(())
        for name, reference in self.gradients.items():
            # Weight decay does not depend on the row: it is part of the neutral score alone.
            whole = self.rest[name] + state.weight_decay * parameters[name].detach()
            total = total.to(reference.device) + (reference @ whole.flatten()).double()
        return total


Share = Callable[[Step, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def sum_share(
    step: Step, rest: torch.Tensor, gradient: torch.Tensor, reference: torch.Tensor
) -> torch.Tensor:
    """A parameter's share of the sums, (rows, groups), operation by operation.

    `gradient` is (rows, elements), `reference` (groups, elements), `rest` the step of the momentum,
    (elements,); `step` is that of the parameter as a vector.
    """
    return step.update(gradient.to(reference.dtype)).sub_(rest) @ reference.T


@cache
def _compiled_share() -> Share:
    """`sum_share` as one kernel for parameters of all sizes, compiled at its first use."""
    from torch._dynamo.exc import TorchDynamoException

    kernel = torch.compile(_fused_share, dynamic=True)

    def run_kernel(
        step: Step, rest: torch.Tensor, gradient: torch.Tensor, reference: torch.Tensor
    ) -> torch.Tensor:
        try:
            result: torch.Tensor = kernel(step, rest, gradient, reference)
        except TorchDynamoException as error:
            raise MontessoriError(
                f"torch.compile cannot compile here: {str(error).splitlines()[0]}",
                expected="a C++ compiler on a CPU, Triton on a GPU",
                next="set machine.compile: false in params.yaml (or leave out --compile)",
            ) from error
        return result

    return run_kernel


def _fused_share(
    step: Step, rest: torch.Tensor, gradient: torch.Tensor, reference: torch.Tensor
) -> torch.Tensor:
    """`sum_share` as a reduction without a matrix product, which a compiler can fuse."""
    dtype = torch.promote_types(reference.dtype, torch.float32)
    g = gradient.to(dtype)  # (rows, elements)
    root = (step.spread.to(dtype) + step.gain_sq * g * g).sqrt() + step.eps
    update = (step.momentum.to(dtype) + step.gain * g) / root - rest.to(dtype)  # (rows, elements)
    # Products of all rows and groups, (rows, groups, elements), exist only inside the kernel.
    return (update[:, None] * reference.to(dtype)).sum(dim=-1)
