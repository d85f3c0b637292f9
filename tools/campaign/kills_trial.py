"""One kill: a target is started, killed, started again, and its files are compared."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.campaign.kills_process import (
    Command,
    Ended,
    Running,
    Shot,
    start_command,
    start_forked,
    wait_for_group,
)
from tools.campaign.kills_tree import (
    Tree,
    compare_scans,
    find_half_outputs,
    find_partial,
    remove_path,
)

FIRST, LAST = 0.01, 0.99  # of the undisturbed run's processor time: where kills fall
RUNNING = "is already running"  # how a stage refuses to run beside an orphan
ORPHAN = 900  # seconds for which an orphan is waited for
TAIL = 300  # characters of an output in a fault


def _nothing() -> None:
    """Of a target that needs nothing of the kind."""


def _no_faults() -> list[str]:
    return []


@dataclass(frozen=True)
class Target:
    """What is killed: `killed` are started at once and one of them is shot, `rerun` come after.

    `outs` are the paths that they write. `looked_at`: the time of all processes of the group counts
    (a command that starts others). `alone`: only the first of the group gets the signal. `once`:
    where the outputs are done there is no rerun. `begin` and `check` come before the first start
    and after the rerun. A target of `weight` 0.5 has half as many kills.
    """

    name: str
    outs: tuple[str, ...]
    killed: tuple[Command, ...]
    rerun: tuple[Command, ...]
    looked_at: bool = False
    alone: bool = False
    once: bool = False
    weight: float = 1.0
    begin: Callable[[], None] = _nothing
    check: Callable[[], list[str]] = _no_faults


@dataclass(frozen=True)
class Outcome:
    """What came of one start: when it was shot, whether it was hit, and what was wrong."""

    moment: float
    whole: float
    hit: bool
    faults: tuple[str, ...]
    seconds: float  # of the processor, for the kill and the rerun


class Trial:
    """A target in a tree: its undisturbed run, then kills."""

    def __init__(self, target: Target, tree: Tree, log: Path) -> None:
        self.target, self.tree, self.log = target, tree, log
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}
        self._whole: dict[bool, list[float]] = {}
        self._spent = 0.0

    def rehearse(self) -> list[str]:
        """Run undisturbed; returns what went wrong: a status, other bytes than the pipeline's."""
        self._prepare()
        faults = self._measure(real=False)
        faults += self._rerun(self.target.rerun if len(self.target.killed) > 1 else ())
        self.target.check()
        self.after = self.tree.scan()
        written = all(out in self.tree.first for out in self.target.outs)
        if written and not self.target.once:
            faults += compare_scans(self.after, self.tree.first)
        return faults

    def kill(self, draw: random.Random, number: signal.Signals, real: bool = False) -> Outcome:
        """Kill one start at a random point, run again, compare; `real`: not forked."""
        if real not in self._whole:
            self._prepare()
            self._measure(real)
        self._prepare()
        victim = draw.randrange(len(self.target.killed))
        whole = self._whole[real][victim]
        moment = draw.uniform(FIRST, LAST) * whole
        ends = self._shoot(victim, Shot(moment, number, self.target.alone), real)
        faults = self._look_after_kill(ends, victim, number)
        done = self._is_done()
        faults += [] if done else self._rerun(self.target.rerun, ends[victim].group)
        faults += compare_scans(self.tree.scan(), self.after)
        faults += self.target.check()
        return Outcome(moment, whole, ends[victim].shot, tuple(faults), self._spent)

    def _prepare(self) -> None:
        self._spent = 0.0
        self.tree.restore()
        if not self.target.once:
            for out in self.target.outs:
                remove_path(self.tree.root / out)
        self.target.begin()
        self.before = self.tree.scan()

    def _measure(self, real: bool) -> list[str]:
        ends = [self._wait(self._start(command, 0, None, real)) for command in self.target.killed]
        self._whole[real] = [end.seconds for end in ends]
        return [_describe("undisturbed", end) for end in ends if end.status]

    def _shoot(self, victim: int, shot: Shot, real: bool) -> list[Ended]:
        armed = not (real or self.target.looked_at)
        running = [
            self._start(command, index, shot if armed and index == victim else None, real)
            for index, command in enumerate(self.target.killed)
        ]
        ends = {victim: self._wait(running[victim], shot, armed)}
        ends |= {i: self._wait(run) for i, run in enumerate(running) if i != victim}
        return [ends[index] for index in range(len(running))]

    def _start(self, command: Command, index: int, shot: Shot | None, real: bool) -> Running:
        log = self.log.with_name(f"{self.log.name}-{index}")
        if real:
            return start_command(command, self.tree.root, log)
        return start_forked(command, self.tree.root, log, shot)

    def _wait(self, running: Running, shot: Shot | None = None, armed: bool = False) -> Ended:
        end = running.wait(shot, armed)
        self._spent += end.seconds
        return end

    def _look_after_kill(self, ends: list[Ended], victim: int, number: signal.Signals) -> list[str]:
        """Half outputs; after signals that can be caught also the status, traceback and litter."""
        scan, end = self.tree.scan(), ends[victim]
        half = find_half_outputs(scan, self.before, self.after, self.target.outs)
        faults = [f"half-written: {', '.join(half)}"] if half and not self.target.alone else []
        faults += [
            _describe("beside it", e) for i, e in enumerate(ends) if i != victim and e.status
        ]
        if not end.shot and end.status:
            faults.append(_describe("by itself", end))
        if end.shot and number != signal.SIGKILL:
            if "Traceback" in end.output:
                faults.append(_describe("traceback", end))
            if not self.target.looked_at:
                faults += [f"left by the signal: {path}" for path in find_partial(scan)]
        if not self.target.alone and not wait_for_group(end.group):
            faults.append("processes were left")
        return faults

    def _is_done(self) -> bool:
        scan, outs = self.tree.scan(), self.target.outs
        return self.target.once and not find_half_outputs(scan, self.after, self.after, outs)

    def _rerun(self, commands: tuple[Command, ...], orphans: int = 0) -> list[str]:
        """Run commands in turn; one that an orphan holds up is run again when that has ended."""
        faults = []
        for command in commands:
            end = self._wait(self._start(command, 0, None, real=False))
            if end.status and RUNNING in end.output and orphans:
                wait_for_group(orphans, ORPHAN)
                end = self._wait(self._start(command, 0, None, real=False))
            if end.status:
                faults.append(_describe(f"rerun of {command.line[0]}", end))
            elif command.line[:2] == ("dvc", "status") and "up to date" not in end.output:
                faults.append(_describe("dvc status", end))
        if orphans:
            wait_for_group(orphans, ORPHAN)
        return faults


def _describe(what: str, end: Ended) -> str:
    tail = " / ".join(end.output.strip().splitlines()[-4:])[-TAIL:]
    return f"{what}: status {end.status}: {tail}"
