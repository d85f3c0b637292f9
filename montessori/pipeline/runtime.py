"""Time, devices and peak memory of a stage run, written to metrics/runtime; only reports read it.

An interrupted run, and a process that filled some parts for another, leave their times below
.work. The run that finishes the stage adds them up.
"""

import json
import os
import platform
import resource
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from montessori.artifacts.atomic import sweep_partial, write_text

RECORDS = Path("metrics") / "runtime"
UNFINISHED = Path(".work") / "runtime"
_workers = 1
_UNIT = 1024 * 1024 if sys.platform == "darwin" else 1024  # of `ru_maxrss` in a MiB


def record_run(kind: str, name: str, seconds: float, devices: int) -> None:
    """Write metrics/runtime/<kind>/<name>.json, with earlier, unfinished starts added up.

    `seconds` is the wall time of this start, `devices` its number of GPUs. In the file `seconds` is
    the sum over starts and shards, and `device_seconds` the sum of seconds times GPUs.
    """
    folder = UNFINISHED / kind / name
    starts = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    starts.append({"seconds": seconds, "devices": devices})
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device_seconds": round(sum(start["seconds"] * start["devices"] for start in starts), 3),
        "host": platform.node(),
        "peak_memory_mib": round(_peak_memory(), 1),
        "seconds": round(sum(start["seconds"] for start in starts), 3),
        "starts": len(starts),
    }
    path = RECORDS / kind / f"{name}.json"
    sweep_partial([path])
    write_text(path, json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)


def keep_unfinished(kind: str, name: str, seconds: float, devices: int) -> None:
    """Keep the time of a start that did not finish its stage, for the one that does."""
    path = UNFINISHED / kind / name / f"{os.getpid()}-{datetime.now(UTC).timestamp():.6f}.json"
    write_text(path, json.dumps({"seconds": seconds, "devices": devices}, indent=2) + "\n")


def devices_used(device: str, tensor_parallel: int) -> int:
    """Number of GPUs that this process used: 0 on a CPU, `tensor_parallel` with vLLM, else 1."""
    torch = sys.modules.get("torch")
    if torch is None or device == "cpu" or not torch.cuda.is_available():
        return 0
    return tensor_parallel if "vllm" in sys.modules else 1


def expect_workers(count: int) -> None:
    """Say how many forked workers share this process's memory, for the record of its peak."""
    global _workers
    _workers = max(_workers, count)


def _peak_memory() -> float:
    """Largest resident memory so far in MiB: of this process, and what its children added to it.

    A child's figure begins at the size of the process that started it, also where the child is a
    compiler: what does not lie above that is counted already. Each worker counts as the largest.
    """
    own = own_peak()
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / _UNIT
    return own + _workers * max(0.0, child - own)


def own_peak() -> float:
    """Largest resident memory of this process so far in MiB.

    On Linux `ru_maxrss` starts at the size of the process that started this one; VmHWM does not.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNIT


def total_memory() -> int:
    """Bytes of memory of the machine or, where lower, of the container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # Version 2 of control groups, then version 1. Without a limit the first holds "max" and the
    # second a number above any memory.
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if Path(path).is_file():
            limit = Path(path).read_text().strip()
            total = min(total, int(limit)) if limit.isdigit() else total
    return total
