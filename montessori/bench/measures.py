"""What the benchmarks measure of a machine: clocks, peak memory, names."""

import contextlib
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def device_name(device: torch.device) -> str:
    """The name of the GPU, or cpu."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return "cpu"


def device_clock(device: torch.device) -> float:
    """Seconds, once the work on the device is done."""
    if device.type == "cuda":
        # A call on the GPU returns before its work is done.
        torch.cuda.synchronize(device)
    return time.perf_counter()


def weight_bytes(model: "PreTrainedModel") -> int:
    """Bytes of the weights."""
    return sum(value.numel() * value.element_size() for value in model.parameters())


def peak_memory(device: torch.device) -> float:
    """Largest memory in MiB, of the GPU or of this process, since the last `forget_peak`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, it can be reset
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    # macOS reports bytes, others KiB.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def forget_peak(device: torch.device) -> None:
    """Measure the largest memory anew, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
