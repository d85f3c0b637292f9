"""Commands that are started and killed at a point of their processor time.

A command is forked from a process that has imported the large libraries already, or started as a
user starts it. A forked one sets a timer of the system on its own processor time, which sends the
signal; for others, the time that all processes of the group have used is looked at.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROCESS_TIME = 2  # CLOCK_PROCESS_CPUTIME_ID of Linux
LOOK = 0.03  # seconds between two looks at a group's processor time
PATIENCE = 1800  # seconds after which a command is taken to hang
ORPHANS = 10  # seconds in which the workers of an ended stage must be gone


@dataclass(frozen=True)
class Command:
    """A command line: `python -m MODULE ...`, `montessori ...` or `dvc ...`."""

    line: tuple[str, ...]

    def call(self) -> None:
        """Run it in this process, as the command would."""
        first, *rest = self.line
        if first == "python":
            sys.argv = rest[1:]
            runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
            return
        sys.argv = list(self.line)
        sys.exit(_entry_points()[first]())


def _entry_points() -> dict[str, Callable[[], int | None]]:
    from dvc.cli import main as dvc

    from montessori.cli import main as montessori

    return {"dvc": dvc, "montessori": montessori}


@dataclass(frozen=True)
class Shot:
    """A signal that is sent after so many seconds of processor time.

    With `alone` only the first process gets it; its children live on, as after `kill` by hand.
    """

    seconds: float
    signal: signal.Signals
    alone: bool = False


@dataclass(frozen=True)
class Ended:
    """A process that has ended: status (negative: the signal), output, processor seconds."""

    status: int
    output: str
    seconds: float
    shot: bool
    group: int


class Running:
    """A started command in a group of its own, whose output goes to a file."""

    def __init__(self, process: int, log: Path) -> None:
        self.process, self.log = process, log
        self._ends = os.pidfd_open(process)
        self._used = 0.0

    def wait(self, shot: Shot | None = None, armed: bool = False) -> Ended:
        """Wait for its end; unless it is `armed` itself, send the signal when it is due."""
        until = time.monotonic() + PATIENCE
        sent = shot is None or armed
        while not self._has_ended(PATIENCE if sent else LOOK):
            if not sent and self._seconds() >= shot.seconds:
                self._send(shot)
                sent = True
            if time.monotonic() > until:
                self._end_group()
        _, status, usage = os.wait4(self.process, 0)
        os.close(self._ends)
        code = os.waitstatus_to_exitcode(status)
        if shot is not None and not shot.alone and shot.signal == signal.SIGKILL:
            self._end_group()
        return Ended(
            code,
            self.log.read_text(encoding="utf-8", errors="replace"),
            usage.ru_utime + usage.ru_stime,
            shot is not None and sent and code in _ends_of(shot, armed),
            self.process,
        )

    def _has_ended(self, seconds: float) -> bool:
        return bool(select.select([self._ends], [], [], seconds)[0])

    def _seconds(self) -> float:
        """Processor time of the group; it never falls when a child's is lost with the child."""
        self._used = max(self._used, used_by_group(self.process))
        return self._used

    def _send(self, shot: Shot) -> None:
        with suppress(ProcessLookupError):
            (os.kill if shot.alone else os.killpg)(self.process, shot.signal)

    def _end_group(self) -> None:
        try:
            os.killpg(self.process, signal.SIGKILL)
        except ProcessLookupError:
            return
        wait_for_group(self.process)


def _ends_of(shot: Shot, armed: bool) -> tuple[int, ...]:
    """Statuses of a process that a signal has ended; `dvc` has 255 of its own, and its stage's."""
    own = (-shot.signal, 128 + shot.signal)
    return own if armed else (*own, 255, 1)


def start_forked(command: Command, place: Path, log: Path, shot: Shot | None = None) -> Running:
    """Fork this process; the child runs the command in `place` and may be shot by its own timer."""
    process = os.fork()
    if process == 0:
        os.setsid()
        code = 1
        try:
            _use_files(place, log)
            if shot is not None:
                set_timer(shot.seconds, shot.signal)
            code = _run_to_its_end(command)
        finally:
            os._exit(code)
    return Running(process, log)


def start_command(command: Command, place: Path, log: Path) -> Running:
    """Start the command as a user does, with this environment's programs."""
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([programs, os.environ["PATH"]])
    with log.open("wb") as output:
        process = subprocess.Popen(
            command.line,
            cwd=place,
            env={**os.environ, "PATH": path, "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # it is waited for by `Running`, not by this object
    return Running(process.pid, log)


def _use_files(place: Path, log: Path) -> None:
    os.chdir(place)
    os.environ["PYTHONPATH"] = ""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (_create(log), 1)):
        os.dup2(source, target)
    os.dup2(1, 2)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _create(log: Path) -> int:
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _run_to_its_end(command: Command) -> int:
    """Run the command and what Python does as it ends; returns the status."""
    code = 0
    try:
        command.call()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


class _Event(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _Span(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Times(ctypes.Structure):
    _fields_ = (("interval", _Span), ("first", _Span))


def set_timer(seconds: float, number: signal.Signals) -> None:
    """Let the system send this process a signal when it has used so much more processor time.

    SIGKILL too, which `signal.setitimer` cannot send. Linux alone. Raises OSError.
    """
    library = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    event = _Event(None, number, 0, b"")  # 0: send the signal
    due = time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) + seconds
    nanoseconds = int((due - int(due)) * 1e9)
    times = _Times(_Span(0, 0), _Span(int(due), nanoseconds))
    absolute = 1
    if library.timer_create(PROCESS_TIME, ctypes.byref(event), ctypes.byref(timer)) or (
        library.timer_settime(timer, absolute, ctypes.byref(times), None)
    ):
        raise OSError(ctypes.get_errno(), "no timer of processor time")


def used_by_group(group: int) -> float:
    """Seconds of the processor that a group's processes and their waited-for children have used."""
    ticks = 0
    for fields in _stats():
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def wait_for_group(group: int, seconds: float = ORPHANS) -> bool:
    """Whether all processes of a group are gone, or become so in this time."""
    until = time.monotonic() + seconds
    while _has_processes(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def _has_processes(group: int) -> bool:
    """Whether a process of the group runs; a zombie that nobody waits for does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return any(int(fields[2]) == group and fields[0] != "Z" for fields in _stats())


def _stats() -> list[Sequence[str]]:
    """State, parent, group and what follows, of all processes."""
    found: list[Sequence[str]] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append(path.read_text(errors="replace").rpartition(")")[2].split())
        except OSError:  # it has ended
            continue
    return found
