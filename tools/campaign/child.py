"""Run a command of the project in a forked copy of a process that has imported everything.

Importing torch and transformers takes seconds, a case a fraction of one: a command for each case
would import for an hour. `start_command` starts the real one instead.
"""

import ctypes
import importlib
import os
import pkgutil
import resource
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

MEMORY = 8 << 30  # bytes that a case may map
PATIENCE = 10  # seconds on the clock for one of processor time: the machine may be busy
TIMED_OUT = -1000  # in place of the status of a command that did not end
HEAVY = ("torch", "transformers.models.llama.modeling_llama", "polars", "datasets", "safetensors")
#: Linux: the rights to read and write against a file's mode, and the call that drops one.
RIGHTS, DROP_RIGHT, SET_RIGHTS_VERSION = (1, 2), 24, 0x20080522


def import_project() -> None:
    """Import the package and what it imports late, so that forked commands need not."""
    import montessori

    for name in HEAVY:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(montessori.__path__, "montessori."):
        with suppress(ImportError):
            importlib.import_module(module.name)


def run_command(
    command: Sequence[str], folder: Path, log: Path, seconds: float, **how: bool
) -> int:
    """Run a command in `folder`, by default in a forked child; its status, negative for a signal.

    What it writes goes to `log`. `real=True` starts the command itself; `unprivileged=True` takes
    root's right to pass over permissions. TIMED_OUT after `seconds` of
    processor time (of the command alone, not of what it starts).
    """
    with log.open("ab") as output:
        if how.get("real"):
            return start_command(command, folder, output.fileno(), seconds, **how)
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            _limit_time(seconds)
            _be_command(command, folder, output.fileno(), how.get("unprivileged", False))
        return _wait(process, PATIENCE * seconds)


def start_command(
    command: Sequence[str], folder: Path, output: int, seconds: float, **how: bool
) -> int:
    """Start a command of the environment, as a user does; its status."""

    def limit() -> None:
        _limit_time(seconds)
        _limit_process(how.get("unprivileged", False))

    program = str(Path(sys.executable).with_name(command[0]))
    process = subprocess.Popen(
        [program, *command[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        preexec_fn=limit,
    )
    try:
        status = process.wait(PATIENCE * seconds)
        return TIMED_OUT if status == -signal.SIGXCPU else status
    except subprocess.TimeoutExpired:
        _end_group(process.pid)
        process.wait()
        return TIMED_OUT


def _wait(process: int, seconds: float) -> int:
    """The status of a child; its group is ended when `seconds` are over."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return TIMED_OUT if code == -signal.SIGXCPU else code
        if time.monotonic() > deadline:
            _end_group(process)
            os.waitpid(process, 0)
            return TIMED_OUT
        time.sleep(0.01)


def _end_group(process: int) -> None:
    """End the session that a child has begun, whose leader it is."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _limit_time(seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))


def _limit_process(unprivileged: bool) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    if unprivileged:
        give_up_rights()


def give_up_rights() -> None:
    """Obey the modes of files, also as root, here and in what is started from here. Linux only."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        return
    system = ctypes.CDLL(None, use_errno=True)
    for right in RIGHTS:
        system.prctl(DROP_RIGHT, right, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(SET_RIGHTS_VERSION, 0)
    rights = (ctypes.c_uint32 * 6)()
    system.capget(header, rights)
    without = ~sum(1 << right for right in RIGHTS) & 0xFFFFFFFF
    for index in range(3):  # effective, permitted, inheritable; the first 32 of 64 rights
        rights[index] &= without
    system.capset(header, rights)


def _be_command(command: Sequence[str], folder: Path, output: int, unprivileged: bool) -> None:
    """Become the command: its folder, streams and arguments, then its code. Never returns."""
    status = 1
    try:
        _limit_process(unprivileged)
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # not the objects of the process that was forked, which may hold text or go elsewhere
        sys.stdout, sys.stderr = _open_stream(1), _open_stream(2)
        status = _run_code(command)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _open_stream(number: int) -> TextIO:
    return os.fdopen(number, "w", encoding="utf-8", closefd=False)


def _run_code(command: Sequence[str]) -> int:
    """Run what `python -m MODULE`, `python -c CODE` or `montessori` would; its status."""
    program, *arguments = command
    try:
        if program == "montessori":
            sys.argv = ["montessori", *arguments]
            importlib.import_module("montessori.cli").main()
        elif arguments[0] == "-m":
            sys.argv = arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["-c", *arguments[2:]]
            exec(compile(arguments[1], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return _read_status(end)
    except BaseException:  # noqa: BLE001 - what Python itself does with it
        traceback.print_exc()
        return 1
    return 0


def _read_status(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1
