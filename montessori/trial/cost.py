"""Peak memory and seconds of the steps that a trial runs, and what they make at full size."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path

import torch

from montessori.errors import MontessoriError
from montessori.models.headers import read_headers
from montessori.pipeline.runtime import own_peak, total_memory
from montessori.train.device import choose_device
from montessori.trial.candidate import Candidate, Measured

MIB, GIB = 1024**2, 1024**3


@contextmanager
def measured_step(candidate: Candidate, stage: str, tokens: int) -> Iterator[None]:
    """Note the peak memory of the device and the seconds of what runs inside."""
    device = choose_device(candidate.settings.machine)
    forget_peak(device)
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    candidate.measured.append(Measured(stage, tokens, peak_bytes(device), seconds))


def forget_peak(device: torch.device) -> None:
    """Free what nobody uses, and let the peak begin here."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # only Linux can forget a process's peak
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(device: torch.device) -> float:
    """Peak memory of the device that this process has used: of a CPU, resident memory."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return own_peak() * MIB


def memory_of(device: torch.device) -> float:
    """Bytes of memory that the device has in all."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(total_memory())


def require_room(candidate: Candidate, bytes_per_parameter: int, what: str) -> None:
    """Raise MontessoriError, before memory runs out, where the weights alone are too large.

    `bytes_per_parameter` is what `what` keeps of each: 16 for AdamW in fp32.
    """
    parameters = count_parameters(candidate.folder)
    needed = parameters * bytes_per_parameter
    room = memory_of(choose_device(candidate.settings.machine))
    if needed > room:
        raise MontessoriError(
            f"{what} needs more than {needed / GIB:.1f} GiB ({bytes_per_parameter} bytes for each "
            f"of {parameters / 1e6:,.0f}M parameters), but the device has {room / GIB:.1f} GiB",
            next="set adapter.rank in params.yaml, take a smaller model, or a larger machine",
        )


def count_parameters(folder: Path) -> int:
    """Numbers in the weights of a model folder, from the headers of its safetensors."""
    return sum(prod(tensor.shape) for tensor in read_headers(folder).values())
