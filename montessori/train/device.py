"""What a training process computes on: device, threads, number format."""

import os
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    import torch

    from montessori.stage import Machine


def settle(machine: "Machine") -> "torch.device":
    """Set the number of CPU threads and return the device to use.

    Raises MontessoriError when `machine.device` asks for a GPU that is not there.
    """
    import torch

    torch.set_num_threads(machine.threads or os.cpu_count() or 1)
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise MontessoriError(
            "no GPU is available to torch",
            where="params.yaml, key machine.device",
            expected="auto or cpu on this machine",
            next="set machine.device: auto, or run `montessori doctor`",
        )
    wanted = machine.device == "cuda" or (machine.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if wanted else "cpu")


def fast_bf16(device: "torch.device") -> bool:
    """Whether products are taken in bf16 by autocast (weights and optimizer stay fp32).

    True where the hardware multiplies bf16 natively; elsewhere bf16 would be slower than fp32.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def checkpoints(machine: "Machine", device: "torch.device") -> bool:
    """Whether activations are recomputed in the backward pass to save memory."""
    setting = machine.gradient_checkpointing
    return setting == "on" or (setting == "auto" and device.type == "cuda")
