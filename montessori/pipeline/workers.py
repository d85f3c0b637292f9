"""A pool of forked workers, one for each CPU thread of a stage, that lives as long as its owner.

A small model's forward pass is many short operations, and threads of one process wait between
them for their turn at the interpreter. A worker process never waits: with two of them the lab's
`synth` takes a quarter less than with two threads (docs/results/log.md). Workers are forked once
and share the model's memory; batches are sent to them and results come back.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import torch

from montessori.errors import MontessoriError
from montessori.pipeline.runtime import expect_workers

Owner = TypeVar("Owner")
Batch = TypeVar("Batch")
Result = TypeVar("Result")

WATCH = 1.0  # seconds between a worker's looks at whether its parent still lives

_owner: Any = None  # in a worker: the object it was forked for


def can_fork() -> bool:
    """Whether this process, whose libraries have idle threads, can be forked safely.

    A forked process may only compute with one thread, and vLLM, once loaded, lets no number of
    threads be set.
    """
    return sys.platform == "linux" and "vllm" not in sys.modules


class Workers(Generic[Owner]):
    """Calls functions with `owner`, such as an engine, and a batch: `threads` at once on a CPU.

    What the functions read of `owner` must not change after the first call, because workers hold
    it as it was then. What the functions change in it is lost.
    """

    def __init__(self, owner: Owner, threads: int, device: str) -> None:
        # weak, because the owner holds its workers: it is freed, and they end, without a collection
        self._owner = weakref.ref(owner)
        self._on_cpu = device == "cpu"
        self.threads = threads if self._on_cpu else 1
        self._pool: ProcessPoolExecutor | None = None
        self._processes: list[BaseProcess] = []

    def map_batches(
        self, work: Callable[[Owner, Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        """`work(owner, batch)` of each batch, in their order, in inference mode.

        `work` is a function of a module, or a `functools.partial` of one. With fewer batches than
        threads, and where nothing can be forked, this process computes one batch after the other
        with all its threads. Raises what `work` raises, and MontessoriError for a killed worker.
        """
        if can_fork() and 1 < self.threads <= len(batches):
            return self._map_in_workers(work, batches)
        return self._map_here(work, batches)

    def _map_here(
        self, work: Callable[[Owner, Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        owner: Any = self._owner()
        for batch in batches:
            yield _compute(work, owner, batch, self.threads if self._on_cpu else None)

    def _map_in_workers(
        self, work: Callable[[Owner, Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        futures: list[Future[Result]] = []
        try:
            pool = self._open_pool()
            for batch in batches:
                futures.append(pool.submit(_compute_in_worker, work, batch))
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            self._end_workers()
            raise _killed_error() from error
        finally:
            if not all(future.done() and not future.exception() for future in futures):
                self._end_workers()

    def _open_pool(self) -> ProcessPoolExecutor:
        """The pool of workers; they are forked the first time."""
        if self._pool is None:
            others = multiprocessing.active_children()
            expect_workers(self.threads)
            self._pool = ProcessPoolExecutor(
                self.threads,
                multiprocessing.get_context("fork"),
                initializer=_start_worker,
                initargs=(self._owner, os.getpid()),  # inherited, not sent
            )
            with warnings.catch_warnings():  # newer Pythons warn of threads where one forks
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pool.submit(os.getpid)  # the first call forks all workers
            self._processes = [p for p in multiprocessing.active_children() if p not in others]
            # waited for at the owner's end, so that the record of a stage's memory includes them
            weakref.finalize(self._owner(), self._pool.shutdown)
        return self._pool

    def _end_workers(self) -> None:
        """End the workers at once, whatever they do; the next call forks new ones."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.terminate()
        self._pool, self._processes = None, []


def _compute(
    work: Callable[[Owner, Batch], Result], owner: Owner, batch: Batch, threads: int | None
) -> Result:
    """`work(owner, batch)` with that many CPU threads; None leaves their number alone."""
    if threads is not None:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        return work(owner, batch)


# ------------------------------------------------------------------------------------ in a worker
def _start_worker(owner: "weakref.ref[Any]", parent: int) -> None:
    """Make this forked process a worker: signals are its parent's to handle."""
    global _owner
    _owner = owner()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    """End this worker when its parent is gone: a killed parent cannot end it."""
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)


def _compute_in_worker(work: Callable[[Any, Batch], Result], batch: Batch) -> Result:
    return _compute(work, _owner, batch, 1)


def _killed_error() -> MontessoriError:
    return MontessoriError(
        "a worker process was killed, most likely because the machine ran out of memory",
        expected="room for machine.threads batches of machine.generation_batch rows at once",
        next="lower machine.generation_batch or machine.threads in params.yaml, then dvc repro "
        "(what is finished stays)",
    )
