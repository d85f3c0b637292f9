"""How many tokens a backward pass may hold, and what is said where memory is not enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from montessori.errors import MontessoriError
from montessori.train.loss import comfortable_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: What a backward pass may hold on a CPU: as much as the weights, and this many bytes.
CPU_BYTES = 2**29
#: And on a GPU: this share of what is free once weights, moments and references are there.
GPU_SHARE = 0.5
#: Logits, their gradient, their softmax and its inputs are there at once.
LOGITS = 4


def most_tokens(model: "PreTrainedModel", kept_to_end: bool = False) -> float:
    """Most tokens of a shared backward pass: what runs fastest, as far as memory allows.

    `kept_to_end` says that what the gradients are made of is kept until the pass has ended.
    """
    allowed = affordable_tokens(model) / (2 if kept_to_end else 1)
    return min(comfortable_tokens(model.device), allowed)


def affordable_tokens(
    model: "PreTrainedModel",
    reserved: int = 0,
    cpu_bytes: int | None = None,
    checkpointed: bool = False,
) -> float:
    """Most tokens of a backward pass that memory allows, beside `reserved` bytes still to come.

    On a CPU it may hold `cpu_bytes`, by default CPU_BYTES, besides as much as the weights.
    """
    budget = max(0.0, _budget(model, reserved, CPU_BYTES if cpu_bytes is None else cpu_bytes))
    return budget / bytes_of_token(model, checkpointed)


def bytes_to_come(model: "PreTrainedModel") -> int:
    """Bytes of the gradients and the two moments that a training adds to the model."""
    trained = (value.nbytes for value in model.parameters() if value.requires_grad)
    return 3 * sum(trained)


def bytes_of_token(model: "PreTrainedModel", checkpointed: bool = False) -> int:
    """About how many bytes a token needs in a backward pass: inputs and outputs of layers, logits.

    Measured on a Llama of 135M parameters: 1.7 MB, where this gives 2.0. `checkpointed`: one layer
    at a time is there, and the inputs of all.
    """
    size = model.dtype.itemsize
    kept = sum(
        sum(module.weight.shape)
        for module in model.modules()
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings()
    )
    embedding = model.get_input_embeddings().weight
    vocabulary, width = len(embedding), embedding.shape[-1]
    if checkpointed:
        layers = getattr(model.config.get_text_config(), "num_hidden_layers", 1)
        kept = kept // layers + layers * width
    return kept * size + LOGITS * vocabulary * max(size, 4)


def _budget(model: "PreTrainedModel", reserved: int, cpu_bytes: int) -> float:
    if model.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(model.device)
        return GPU_SHARE * (free - reserved)
    weights = sum(value.numel() * value.element_size() for value in model.parameters())
    return float(weights + cpu_bytes)


@contextmanager
def explain_memory(what: str, advice: str) -> Iterator[None]:
    """Turn running out of memory into the error `what`, with what to change in params.yaml.

    Also to be used as a decorator.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        # torch's CPU allocator raises a plain RuntimeError.
        if not known and "not enough memory" not in str(error):
            raise
        raise MontessoriError(
            what,
            where=str(error).splitlines()[0] if str(error) else "",
            next=f"{advice} in params.yaml, then `dvc repro`",
        ) from error
