"""How the rows of a training step are divided over passes: gradients add up, the step is one."""

from typing import TYPE_CHECKING

from montessori.errors import MontessoriError
from montessori.train.device import uses_checkpointing
from montessori.train.memory import affordable_tokens, bytes_to_come

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from montessori.pipeline.machine import Machine

#: What a pass of a training may hold on a CPU, besides as much as the weights.
CPU_BYTES = 2**32


def rows_of_pass(batch: int, tokens: int, model: "PreTrainedModel", machine: "Machine") -> int:
    """How many rows of a step, or pairs, share a pass: as many as divide `batch` and fit memory.

    `tokens` are the most of a row, or of both texts of a pair. On a CPU the number follows from
    the model alone, on a GPU from what is free there once gradients and two moments are.
    Raises MontessoriError where `machine.training_rows` does not divide `batch`.
    """
    divisors = [n for n in range(1, batch + 1) if batch % n == 0]
    if machine.training_rows:
        return _require_divisor(machine.training_rows, batch, divisors)
    checkpointed = uses_checkpointing(machine, model.device)
    most = affordable_tokens(model, bytes_to_come(model), CPU_BYTES, checkpointed)
    return max([n for n in divisors if n * tokens <= most], default=1)


def _require_divisor(wanted: int, batch: int, divisors: list[int]) -> int:
    if wanted in divisors or wanted > batch:
        return min(wanted, batch)
    below = max(n for n in divisors if n < wanted)
    above = min(n for n in divisors if n > wanted)
    raise MontessoriError(
        f"a step of {batch} rows or pairs cannot be divided into passes of {wanted}",
        where="params.yaml, key machine.training_rows",
        expected=f"a number that divides {batch}",
        next=f"set machine.training_rows: {below} or {above}, or 0 to choose by memory",
    )
