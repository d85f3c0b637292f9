"""One process a stage: a second one is refused, because both would write the same output.

It needs no mistake to start two: `kill` of `dvc` alone leaves its stage running, and the next
`dvc repro` starts the stage again.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from montessori.errors import MontessoriError

LOG = logging.getLogger(__name__)
FOLDER = Path(".work/running")
#: Seconds for which a lock is waited for: forked workers outlive a killed stage by one or two.
PATIENCE = 5.0


@contextmanager
def hold_stage(stage: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of `stage`, such as `probe@montessori-1`, until the block or the process ends.

    The lock is the system's (`flock`): none is left after a kill. Where there are none, or `.work`
    cannot be written, the stage runs without. Raises MontessoriError when another process has it.
    """
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        handle = open(FOLDER / stage, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        LOG.debug("no lock for %s: %s", stage, error)
        yield
        return
    with handle:
        if not _take_lock(handle, patience):
            raise _running_error(stage, handle)
        handle.truncate(0)
        handle.write(f"{os.getpid()} {datetime.now():%Y-%m-%d %H:%M:%S}")
        handle.flush()
        yield


def _take_lock(handle: IO[str], patience: float) -> bool:
    """Whether the lock could be taken, or there are no locks on this file system."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        except OSError as error:
            LOG.debug("no lock on this file system: %s", error)
            return True


def _running_error(stage: str, handle: IO[str]) -> MontessoriError:
    handle.seek(0)
    process, _, since = handle.read().partition(" ")
    alone = ""
    if _has_no_parent(process):
        alone = "; the `dvc repro` that started it has ended"
    return MontessoriError(
        f"{stage} is already running: process {process}, since {since}{alone}",
        where=str(FOLDER / stage),
        expected="one process a stage, because both would write the same output",
        next=f"wait until it has ended, or end it: kill {process}; then the same command again",
    )


def _has_no_parent(process: str) -> bool:
    """Whether the process was left by its parent; False where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return len(fields) > 1 and fields[1] == "1"
