"""Work on batches, spread over the cores of a CPU: a process a core, alive as long as its owner.

A small model's forward pass is many short operations, and threads of one process wait between
them for their turn at the interpreter. A process of its own never waits. It is forked once, shares
the model's memory, is sent batches and sends results back.
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
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import torch

from montessori.errors import MontessoriError

Owner = TypeVar("Owner")
Batch = TypeVar("Batch")
Result = TypeVar("Result")

WATCH = 1.0  # seconds between a worker's looks at whether its parent still lives

_owner: Any = None  # in a worker: what it was forked for


def can_fork() -> bool:
    """Whether this process, whose libraries have idle threads, can be forked safely.

    A worker computes with one thread. Where vLLM is loaded it lets no number of threads be set.
    """
    return sys.platform == "linux" and "vllm" not in sys.modules


class Cores(Generic[Owner]):
    """Calls functions of `owner` and a batch: on a CPU with `threads` threads, else with one.

    What the functions read of `owner` must not change after the first call, as workers hold it as
    it was then; what they change in it is lost.
    """

    def __init__(self, owner: Owner, threads: int, device: str) -> None:
        self._owner = weakref.ref(owner)
        self._on_cpu = device == "cpu"
        self.threads = threads if self._on_cpu else 1
        self._pool: ProcessPoolExecutor | None = None
        self._workers: list[BaseProcess] = []

    def map(
        self, work: Callable[[Owner, Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        """`work(owner, batch)` of each batch, in their order, in inference mode.

        `work` is a function of a module, or a `functools.partial` of one. Raises what it raises,
        and MontessoriError when a worker is ended from outside.
        """
        if can_fork() and 1 < self.threads <= len(batches):
            return self._in_processes(work, batches)
        return self._in_threads(work, batches)

    def _in_threads(
        self, work: Callable[[Owner, Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        owner: Any = self._owner()
        workers = max(1, min(self.threads, len(batches)))
        inner = self.threads // workers if self._on_cpu else 0

        def call(batch: Batch) -> Result:
            return _computed(work, owner, batch, inner)

        if workers == 1:
            yield from map(call, batches)
            return
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(call, batches)

    def _in_processes(
        self, work: Callable[[Owner, Batch], Result], batches: Sequence[Batch]
    ) -> Iterator[Result]:
        futures: list[Future[Result]] = []
        try:
            pool = self._opened()
            futures += [pool.submit(_call, work, batch) for batch in batches]
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            self._close()
            raise _ended() from error
        finally:
            if not all(future.done() and not future.exception() for future in futures):
                self._close()

    def _opened(self) -> ProcessPoolExecutor:
        """The pool of workers; they are forked the first time."""
        if self._pool is None:
            others = multiprocessing.active_children()
            self._pool = ProcessPoolExecutor(
                self.threads,
                multiprocessing.get_context("fork"),
                initializer=_begin,
                initargs=(self._owner, os.getpid()),  # inherited, not sent
            )
            with warnings.catch_warnings():  # newer Pythons warn of threads where one forks
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pool.submit(os.getpid)  # the first call forks all workers
            self._workers = [c for c in multiprocessing.active_children() if c not in others]
            # waited for, so that the record of a stage's memory has them
            weakref.finalize(self._owner(), self._pool.shutdown)
        return self._pool

    def _close(self) -> None:
        """End the workers at once, whatever they do; the next call forks new ones."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for worker in self._workers:
                worker.terminate()
        self._pool, self._workers = None, []


def _computed(
    work: Callable[[Owner, Batch], Result], owner: Owner, batch: Batch, threads: int
) -> Result:
    """`work(owner, batch)` with that many CPU threads; 0 leaves their number alone."""
    if threads:
        torch.set_num_threads(threads)
    with torch.inference_mode():
        return work(owner, batch)


def _begin(owner: "weakref.ref[Any]", parent: int) -> None:
    """Make this forked process a worker: signals are its parent's to handle."""
    global _owner
    _owner = owner()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    """End this worker when its parent is gone, even killed: nobody else would."""
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)


def _call(work: Callable[[Any, Batch], Result], batch: Batch) -> Result:
    return _computed(work, _owner, batch, 1)


def _ended() -> MontessoriError:
    return MontessoriError(
        "a worker process was killed, most likely because the machine ran out of memory",
        expected="room for machine.threads batches of machine.generation_batch rows at once",
        next="lower machine.generation_batch or machine.threads in params.yaml, then dvc repro "
        "(what is finished stays)",
    )
