"""Steps times references as one kernel made by torch.compile: C++ on a CPU, Triton on a GPU.

It reads each gradient once and keeps what follows from it in registers, where the plain form writes
and reads half a dozen temporaries.
"""

import logging
from collections.abc import Callable
from functools import cache

import torch

from montessori.errors import MontessoriError
from montessori.train.adamw import StepFactors

LOG = logging.getLogger(__name__)

#: Takes exp_avg, exp_avg_sq (elements,), gradients (rows, elements), references (groups, elements)
#: and the factors of the step; returns the products of steps and references, (rows, groups).
Kernel = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, StepFactors], torch.Tensor
]


def choose_kernel(wanted: bool | None) -> Kernel | None:
    """The kernel; None for the plain form: not wanted, or, by choice (None), no compiler here.

    Raises MontessoriError where it is wanted and cannot be compiled.
    """
    if wanted is False:
        return None
    try:
        return make_kernel()
    except MontessoriError as error:
        if wanted:
            raise
        LOG.warning("influence: the plain reduction: %s", error.what)
        return None


@cache
def make_kernel() -> Kernel:
    """The kernel for tiles of all sizes, tried on a small one.

    Raises MontessoriError without a compiler.
    """
    from torch._dynamo.exc import TorchDynamoException

    compiled = torch.compile(multiply_steps, dynamic=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        compiled(*(torch.ones(shape, device=device) for shape in (6, 6, (2, 6), (3, 6), 5)))
    except (TorchDynamoException, RuntimeError, OSError) as error:
        raise MontessoriError(
            f"torch.compile cannot compile here: {str(error).splitlines()[0]}",
            expected="a C++ compiler on a CPU, Triton on a GPU",
            next="set machine.compile: off in params.yaml (or --no-compile)",
        ) from error

    def run_kernel(
        first: torch.Tensor,
        second: torch.Tensor,
        gradient: torch.Tensor,
        reference: torch.Tensor,
        factors: StepFactors,
    ) -> torch.Tensor:
        # Numbers in a tensor, because the compiler would make a kernel for each value.
        numbers = _as_tensor(factors, gradient.dtype, gradient.device)
        products: torch.Tensor = compiled(first, second, gradient, reference, numbers)
        return products

    return run_kernel


@cache
def _as_tensor(factors: StepFactors, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    values = (factors.first, factors.second, factors.gain, factors.gain_sq, factors.eps)
    return torch.tensor(values, dtype=torch.promote_types(dtype, torch.float32), device=device)


def multiply_steps(
    first: torch.Tensor,
    second: torch.Tensor,
    gradient: torch.Tensor,
    reference: torch.Tensor,
    numbers: torch.Tensor,
) -> torch.Tensor:
    """The products without a matrix product, which a compiler can fuse; see `Kernel`.

    `numbers` are the factors of the step, in their order. The step without a gradient is not taken
    off here, where every row would compute it anew.
    """
    dtype = numbers.dtype
    g = gradient.to(dtype)  # (rows, elements)
    momentum, spread = first.to(dtype) * numbers[0], second.to(dtype) * numbers[1]
    root = (spread + numbers[3] * g * g).sqrt() + numbers[4]
    update = (momentum + numbers[2] * g) / root  # (rows, elements)
    # Products of all rows and groups, (rows, groups, elements), exist only inside the kernel.
    return (update[:, None] * reference.to(dtype)).sum(dim=-1)
