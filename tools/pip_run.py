"""Run pip so that it never hangs, shows how far it is, and fails with one clear reason."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG = Path(".work/install.log")
CONNECT_SECONDS = 15  # of silence from the index, per attempt
RETRIES = 2
REASONS = (
    (
        r"No space left on device",
        "the disk is full",
        "make room (3 to 14 GB, and as much again for pip's cache), then type make again",
    ),
    (
        r"Connection to \S+ timed out|ConnectTimeout|ReadTimeout|Read timed out|NewConnectionError"
        r"|NameResolutionError|Temporary failure in name resolution|Could not fetch URL|ProxyError"
        r"|SSLError|IncompleteRead|ConnectionResetError|Connection (?:refused|broken)",
        "the package index cannot be reached",
        "check the network, or name a mirror (PIP_INDEX_URL) or proxy (HTTPS_PROXY), "
        "then type make again",
    ),
    (
        r"is not a trusted or secure host",
        "the package index is not served over HTTPS and was ignored",
        "name it with https:// (PIP_INDEX_URL), or trust it (PIP_TRUSTED_HOST)",
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES",
        "a downloaded package is damaged",
        "pip cache purge, then type make again",
    ),
    (
        r"(?:No matching distribution found|Could not find a version that satisfies[^\n]*) for \S+"
        r"|Could not find a version[^\n]*",
        "the package index has no build of a package for this machine and Python",
        "try another Python (make PYTHON=python3.11 ...) or index (PIP_EXTRA_INDEX_URL)",
    ),
)


class SetupError(Exception):
    """Something the user has to settle: what is wrong, and what to type next."""

    def __init__(self, what: str, next: str) -> None:
        super().__init__(what)
        self.what, self.next = what, next


def pip_environment(outside: Mapping[str, str]) -> dict[str, str]:
    """The environment of pip: the user's, with limits on waiting and without stray Python paths.

    The limits are variables rather than options so that pip's own build environments obey too.
    """
    dropped = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_QUIET")
    kept = {name: value for name, value in outside.items() if name not in dropped}
    return kept | {
        "PIP_DEFAULT_TIMEOUT": str(CONNECT_SECONDS),
        "PIP_RETRIES": str(RETRIES),
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PROGRESS_BAR": "off",
        "PYTHONNOUSERSITE": "1",
    }


def explain(log: str) -> tuple[str, str]:
    """What a failed pip's output means, as (what is wrong, what to do next)."""
    last = [line for line in log.splitlines() if line.startswith("ERROR:")][-1:]
    for pattern, what, advice in REASONS:
        if re.search(pattern, log):
            return "\n  ".join([what, *last]), advice
    return "\n  ".join(["pip failed", *last]), f"see {LOG}"


def watch(process: subprocess.Popen[bytes], log: Path, label: str) -> None:
    """Every ten seconds say how many packages pip has collected, until it ends."""
    started = shown = time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        now = time.monotonic()
        if now - shown >= 10:
            shown = now
            text = log.read_text(errors="replace")
            step = "unpacking" if "Installing collected packages" in text else "fetching"
            count = len(re.findall(r"^(?:Collecting|Processing) ", text, re.MULTILINE))
            progress = f"{step}, {count} packages, " if count else ""
            print(f"  {label}: {progress}{now - started:.0f} s", flush=True)


def run_pip(python: Path, arguments: Sequence[str]) -> None:
    """Run `pip ARGUMENTS` of an environment in the working directory; output goes to LOG.

    Raises SetupError with the reason when pip fails.
    """
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as sink:
        process = subprocess.Popen(
            [str(python), "-m", "pip", *arguments],
            env=pip_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            watch(process, LOG, f"pip {arguments[0]}")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise SetupError(*explain(LOG.read_text(errors="replace")))
