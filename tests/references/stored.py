"""Stored reference trajectories: their files, the machine they are of, and how they are compared.

A file holds `recorded` (versions and processor), `counts` and `series`. On the machine it was
recorded on, with the same versions, every number has to be the same to the last bit. Elsewhere a
number may be off by a share of the largest one in its series: `TOLERANCES`, by its name.
"""

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from tests.references.recipes import Trajectory

FOLDER = Path(__file__).parent

#: The greatest deviation on another machine, as a share of the largest number of the series.
#: fp32 arithmetic with other vector units was off by at most 1.2e-6 (README.md has the table).
TOLERANCES = {
    "learning_rate": 1e-12,  # computed from the step's number in double precision
    "loss": 2e-5,
    "": 1e-4,  # distances, moments, margins and scores
}


def environment() -> dict[str, str]:
    """What decides the last bits of a run: versions of libraries, and the processor."""
    versions = {name: metadata.version(name) for name in ("transformers", "trl", "tokenizers")}
    return {
        "torch": torch.__version__,
        **versions,
        "dtype": "float32",
        "threads": "1",
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "processor_digest": _processor_digest(),
    }


def _processor_digest() -> str:
    """A short digest of the processor's model and abilities, which kernels are chosen by."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return hashlib.sha256(platform.processor().encode()).hexdigest()[:12]
    names = ("vendor_id", "cpu family", "model", "model name", "stepping", "cache size", "flags")
    kept = sorted({line for line in lines if line.split("\t")[0].strip() in names})
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:12]


def write(name: str, trajectory: Trajectory, folder: Path = FOLDER) -> Path:
    """Store a trajectory as the reference `name`; returns its file."""
    content = {
        "recorded": environment(),
        "counts": trajectory.counts,
        "series": trajectory.series,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def read(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The content of the reference `name`."""
    return dict(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def deviations(
    found: Trajectory, stored: Mapping[str, Any], here: Mapping[str, str] | None = None
) -> list[str]:
    """What of `found` is not as `stored`, one line for each number of its kind; empty if equal.

    `here` is the environment of `found`, by default that of this process.
    """
    recorded = stored["recorded"]
    others = {
        name: value
        for name, value in (here or environment()).items()
        if recorded.get(name) != value
    }
    problems = []
    if found.counts != stored["counts"]:
        problems.append(f"counts: {found.counts} instead of {stored['counts']}")
    if found.series.keys() != stored["series"].keys():
        problems.append(f"series: {list(found.series)} instead of {list(stored['series'])}")
        return problems
    for name, values in found.series.items():
        tolerance = tolerance_of(name) if others else 0.0
        problems += compare(name, values, stored["series"][name], tolerance)
    if problems and others:
        problems.append(f"other than where it was recorded: {others} (recorded: {recorded})")
    return problems


def tolerance_of(name: str) -> float:
    """The share of a series' largest number by which another machine's may differ."""
    return TOLERANCES.get(name, TOLERANCES[""])


def compare(
    name: str, found: Sequence[float], wanted: Sequence[float], tolerance: float
) -> list[str]:
    """One line if two series differ by more than `tolerance` of the largest number, else none."""
    if len(found) != len(wanted):
        return [f"{name}: {len(found)} numbers instead of {len(wanted)}"]
    scale = max(abs(value) for value in wanted)
    gaps = [abs(first - second) for first, second in zip(found, wanted, strict=True)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    if all(math.isfinite(gap) and gap <= tolerance * scale for gap in gaps):
        return []
    return [
        f"{name}: number {widest + 1} of {len(gaps)} is {found[widest]!r} instead of "
        f"{wanted[widest]!r}; off by {gaps[widest] / (scale or 1):.1e} of the largest number, "
        f"allowed is {tolerance:.1e}"
    ]
