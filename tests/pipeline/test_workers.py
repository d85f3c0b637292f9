"""Work spread over processes: same results, errors as they are, nobody left behind.

What would break: results depend on the number of cores, a killed worker hangs the stage, or workers
outlive it.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from montessori.errors import MontessoriError
from montessori.pipeline.workers import Workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


class Owner:
    """Holds a number that workers read, as an engine holds its model."""

    def __init__(self, factor: int = 10) -> None:
        self.factor = factor

    def times(self, batch: int) -> int:
        return self.factor * batch

    def where(self, batch: int) -> tuple[int, int, bool]:
        return os.getpid(), torch.get_num_threads(), torch.is_inference_mode_enabled()

    def fail(self, batch: int) -> int:
        if batch == 1:
            raise MontessoriError("no", where="batch 1", next="another batch")
        time.sleep(60 if batch == 2 else 0)
        return batch

    def end(self, batch: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self, batch: int, said: str) -> None:
        Path(said, str(os.getpid())).touch()
        time.sleep(60)


@pytest.fixture(autouse=True)
def same_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The number of threads of the tests' own process, whatever a call sets; vLLM unseen."""
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return "State:\tZ" not in status


def gone(process: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while alive(process) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(process)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("batches", [0, 1, 2, 7])
def test_results_come_in_the_order_of_batches(threads: int, batches: int) -> None:
    owner = Owner()
    pool = Workers(owner, threads, "cpu")
    assert list(pool.map_batches(Owner.times, range(batches))) == [10 * i for i in range(batches)]


def test_enough_batches_go_to_processes_of_one_thread_that_stay() -> None:
    owner = Owner()
    pool = Workers(owner, 2, "cpu")
    first, again = (list(pool.map_batches(Owner.where, range(20))) for _ in range(2))
    workers = {process for process, _, _ in first + again}
    assert os.getpid() not in workers
    assert len(workers) <= 2
    assert {facts[1:] for facts in first} == {(1, True)}, "more threads than cores"


def test_where_vllm_is_loaded_nothing_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", sys)
    owner = Owner()
    found = list(Workers(owner, 2, "cpu").map_batches(Owner.where, range(4)))
    assert {process for process, _, _ in found} == {os.getpid()}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that are set. vLLM, where it ran in this process, lets none be set."""
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    return given


def test_fewer_batches_than_threads_have_all_threads_of_this_process_in_turn(
    given: list[int],
) -> None:
    owner = Owner()
    found = list(Workers(owner, 4, "cpu").map_batches(Owner.where, range(2)))
    assert {(process, inference) for process, _, inference in found} == {(os.getpid(), True)}
    assert given == [4, 4]


def test_a_gpu_is_used_by_this_process_alone(given: list[int]) -> None:
    owner = Owner()
    found = list(Workers(owner, 4, "cuda").map_batches(Owner.where, range(5)))
    assert {(process, inference) for process, _, inference in found} == {(os.getpid(), True)}
    assert given == []


def test_workers_end_with_their_owner() -> None:
    owner = Owner()
    pool = Workers(owner, 2, "cpu")
    workers = {process for process, _, _ in pool.map_batches(Owner.where, range(4))}
    assert len(workers) <= 2
    del owner
    assert not any(alive(process) for process in workers), "not waited for"
    assert not multiprocessing.active_children()
    del pool


def test_an_error_comes_as_it_is_and_ends_the_work() -> None:
    owner = Owner()
    pool = Workers(owner, 2, "cpu")
    started = time.monotonic()
    with pytest.raises(MontessoriError, match="batch 1") as caught:
        list(pool.map_batches(Owner.fail, range(6)))
    assert caught.value.next == "another batch"
    assert time.monotonic() - started < 30, "the call waited for a batch that nobody wants"
    assert list(pool.map_batches(Owner.times, range(4))) == [0, 10, 20, 30], (
        "no workers after an error"
    )


def test_a_worker_that_is_killed_is_an_error() -> None:
    owner = Owner()
    pool = Workers(owner, 2, "cpu")
    with pytest.raises(MontessoriError, match=r"generation_batch|memory"):
        list(pool.map_batches(Owner.end, range(4)))
    assert list(pool.map_batches(Owner.times, range(4))) == [0, 10, 20, 30]


def test_a_worker_that_is_killed_between_calls_is_replaced_after_one_error() -> None:
    owner = Owner()
    pool = Workers(owner, 2, "cpu")
    workers = {process for process, _, _ in pool.map_batches(Owner.where, range(8))}
    os.kill(min(workers), signal.SIGKILL)
    assert all(gone(process) for process in workers)  # the pool ends the others
    with pytest.raises(MontessoriError, match="memory"):
        list(pool.map_batches(Owner.times, range(4)))
    assert list(pool.map_batches(Owner.times, range(4))) == [0, 10, 20, 30]


SLEEPER = """
import signal, sys
from functools import partial
from montessori.pipeline.workers import Workers
from montessori.pipeline.stage import _leave_on_signal
from tests.pipeline.test_workers import Owner
signal.signal(signal.SIGTERM, _leave_on_signal)
owner = Owner()
list(Workers(owner, 2, "cpu").map_batches(partial(Owner.sleep, said=sys.argv[1]), range(4)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_a_stage_that_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    stage = subprocess.Popen([sys.executable, "-c", SLEEPER, str(tmp_path)])
    try:
        until = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        workers = [int(path.name) for path in tmp_path.iterdir()]
        assert len(workers) == 2
        stage.send_signal(number)
        stage.wait(timeout=10)
        assert all(gone(process) for process in workers)
    finally:
        stage.kill()
        stage.wait()


def test_arguments_can_be_bound() -> None:
    owner = Owner()
    assert list(Workers(owner, 2, "cpu").map_batches(partial(_power, 2), range(4))) == [
        0,
        10,
        40,
        90,
    ]


def _power(exponent: int, owner: Owner, batch: int) -> int:
    return int(owner.factor * batch**exponent)
