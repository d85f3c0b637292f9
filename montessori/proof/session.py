"""Run the experiments of a proof, some at once, and continue a stopped proof."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from montessori.errors import MontessoriError
from montessori.progress import Progress, track_progress
from montessori.proof import experiment as experiments
from montessori.proof import record
from montessori.proof.experiments import Experiment, parse_seeds, plan_experiments
from montessori.proof.pages import write_pages

POLL_SECONDS = 1.0
STOP_SECONDS = 15.0
LOG_LINES = 15


@dataclass
class _Running:
    experiment: Experiment
    process: subprocess.Popen[bytes]
    log: Path


def complete_proof(
    root: Path, profile: str, seeds: str, students: list[str], jobs: int
) -> list[Path]:
    """Complete all experiments, then write the proof, its tables and its picture.

    Returns the files written.

    Raises:
        MontessoriError: raised by `plan_experiments` and `check_repository`; failed experiments.
    """
    if jobs < 1:
        raise MontessoriError(f"jobs is {jobs}", expected="1 or more", next="make proof JOBS=2")
    experiments.check_repository(root)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    planned = plan_experiments(root, profile, parse_seeds(seeds), students, threads)
    work = root / ".work" / "proof"
    # Leftovers may be removed under the lock only, when no earlier experiment is alive.
    with _exclusive_lock(work) as lock:
        experiments.remove_leftovers(root)
        failed = _run_all(root, work, planned, jobs, threads, lock)
    complete = [entry for entry in planned if record.is_complete(root, entry)]
    # Failed experiments do not keep the finished ones from the pages.
    written = write_pages(root) if complete or not failed else []
    if failed:
        raise MontessoriError(
            f"{len(failed)} of {len(planned)} experiments failed:\n" + "\n".join(failed.values()),
            where=", ".join(str(work / f"{name}.log") for name in failed),
            next="fix what the logs report, then repeat the command (finished ones are kept)",
        )
    return written


@contextmanager
def _exclusive_lock(work: Path) -> Iterator[int]:
    """Hold a lock that experiments inherit: it is free once an earlier proof is dead."""
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work / "lock", os.O_RDWR | os.O_CREAT)
    try:
        with track_progress(
            1, "proof", "waiting for experiments of an earlier proof to end"
        ) as progress:
            # Polled, because a blocking lock could show no progress while it waits.
            while not _try_lock(descriptor):
                progress.advance(0)
                time.sleep(POLL_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    """Take the lock if it is free; returns whether it was."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run_all(
    root: Path, work: Path, planned: list[Experiment], jobs: int, threads: int, lock: int
) -> dict[str, str]:
    """Run the incomplete experiments, `jobs` at once; returns the log's end of each failed one."""
    waiting = _still_to_run(root, planned)
    running: list[_Running] = []
    failed: dict[str, str] = {}
    done = len(planned) - len(waiting)
    with (
        track_progress(len(planned), "experiments", "proof") as progress,
        _stop_on_interrupt(running),
    ):
        progress.advance(done, kept=done)
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start_running(root, work, waiting.pop(0), threads, lock))
                _wait_for_copy(running[-1])
            time.sleep(POLL_SECONDS)
            # A list of its own, since `running` changes in the loop. It changes in place, because
            # the guard around the loop stops whatever is in it.
            for ended in [entry for entry in running if entry.process.poll() is not None]:
                running.remove(ended)
                _record_ended(root, ended, failed)
                progress.advance(1)
            _show_stages(progress, running, failed)
    return failed


def _still_to_run(root: Path, planned: list[Experiment]) -> list[Experiment]:
    """List the experiments without a record, after recording those that finished without one."""
    # A proof that was killed after an experiment ended has it in git, but no record yet.
    finished = experiments.find_finished(root)
    for entry in planned:
        if not record.is_complete(root, entry) and entry.name in finished:
            record.write_record(root, entry, finished[entry.name])
    return [entry for entry in planned if not record.is_complete(root, entry)]


def _start_running(root: Path, work: Path, entry: Experiment, threads: int, lock: int) -> _Running:
    log = work / f"{entry.name}.log"
    return _Running(entry, experiments.start_experiment(root, entry, log, threads, lock), log)


def _wait_for_copy(started: _Running) -> None:
    """Wait until an experiment has its temporary copy.

    While DVC makes the copy, it stashes and restores the working tree. Until then no file may be
    written and no second experiment may start.
    """
    while started.process.poll() is None and not experiments.has_copy(started.log):
        time.sleep(POLL_SECONDS / 5)


def _record_ended(root: Path, ended: _Running, failed: dict[str, str]) -> None:
    """Record an experiment that succeeded, or keep the end of the log of one that failed."""
    name = ended.experiment.name
    reference = experiments.find_finished(root).get(name)
    if ended.process.returncode == 0 and reference:
        record.write_record(root, ended.experiment, reference)
        return
    lines = ended.log.read_text(encoding="utf-8", errors="replace").splitlines()
    failed[name] = f"{name}:\n  " + "\n  ".join(lines[-LOG_LINES:])


def _show_stages(progress: Progress, running: list[_Running], failed: dict[str, str]) -> None:
    """Show how many stages each running experiment has done."""
    counts = {}
    for entry in running:
        name = f"{entry.experiment.student}-{entry.experiment.seed}"
        counts[name] = experiments.stages_done(entry.log)
    if failed:
        counts["failed"] = len(failed)
    progress.advance(0, **counts)


@contextmanager
def _stop_on_interrupt(running: list[_Running]) -> Iterator[None]:
    """Stop the experiments' process groups when this process gets Ctrl-C or SIGTERM."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # SIGTERM raises what Ctrl-C raises, so both take the same way out.
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        _stop_all([entry.process for entry in running])
        raise MontessoriError(
            "stopped; finished experiments and finished stages are kept",
            next="the same command continues",
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop_all(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask process groups to stop, so that DVC restores the working tree; kill those that do not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        alive = [process for process in processes if process.poll() is None]
        for process in alive:
            os.killpg(process.pid, number)
        end = time.monotonic() + STOP_SECONDS
        while any(process.poll() is None for process in alive) and time.monotonic() < end:
            time.sleep(POLL_SECONDS / 5)
