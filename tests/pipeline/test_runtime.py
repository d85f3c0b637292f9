"""Records of time and memory: starts that were cut off, shards, devices.

What would break: equal budgets are compared by wrong seconds, because a killed start or another
shard's work is forgotten or counted twice.
"""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from montessori.pipeline import runtime
from montessori.pipeline.runtime import RECORDS, UNFINISHED, keep_unfinished, record_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty project as the working directory."""
    monkeypatch.chdir(tmp_path)


def record(kind: str = "sft", name: str = "a") -> dict:
    """The record of a stage."""
    return json.loads((RECORDS / kind / f"{name}.json").read_text())


def test_a_run_that_was_never_cut_off_is_one_start():
    record_run("sft", "a", 12.3456, devices=2)
    found = record()
    assert (found["seconds"], found["device_seconds"], found["starts"]) == (12.346, 24.691, 1)
    assert found["peak_memory_mib"] > 1
    assert set(found) == {
        "date",
        "device_seconds",
        "host",
        "peak_memory_mib",
        "seconds",
        "starts",
    }


def test_starts_that_were_cut_off_are_added_each_with_its_own_devices():
    """10 s on four GPUs, killed; 5 s on one, killed; 1 s on the CPU to the end."""
    keep_unfinished("sft", "a", 10.0, devices=4)
    keep_unfinished("sft", "a", 5.0, devices=1)
    keep_unfinished("sft", "b", 100.0, devices=1)  # another row's
    record_run("sft", "a", 1.0, devices=0)
    found = record()
    assert (found["seconds"], found["device_seconds"], found["starts"]) == (16.0, 45.0, 3)


def test_what_a_kill_left_beside_a_record_is_swept():
    process = subprocess.Popen(["true"])
    process.wait()
    stray = RECORDS / "sft" / f".a.json.{process.pid}.partial"
    stray.parent.mkdir(parents=True)
    stray.write_text("half")
    record_run("sft", "a", 1.0, devices=0)
    assert [path.name for path in stray.parent.iterdir()] == ["a.json"]


def test_what_was_counted_is_not_counted_again():
    keep_unfinished("sft", "a", 10.0, devices=1)
    record_run("sft", "a", 1.0, devices=1)
    assert not (UNFINISHED / "sft" / "a").exists()
    record_run("sft", "a", 2.0, devices=1)
    assert record()["seconds"] == 2.0
    assert record()["starts"] == 1


def test_shards_in_other_processes_do_not_overwrite_each_other(monkeypatch: pytest.MonkeyPatch):
    """Two processes that end at the same moment keep a file each."""
    monkeypatch.setattr(runtime, "datetime", SimpleNamespace(now=lambda zone: Moment()))
    for process in (11, 12):
        monkeypatch.setattr(runtime.os, "getpid", lambda number=process: number)
        keep_unfinished("influence", "m", 3.0, devices=1)
    assert len(list((UNFINISHED / "influence" / "m").glob("*.json"))) == 2


class Moment:
    """One point in time."""

    def timestamp(self) -> float:
        return 1_700_000_000.25

    def isoformat(self, timespec: str) -> str:
        return "2023-11-14T22:13:20+00:00"


@pytest.mark.parametrize(
    ("torch", "vllm", "device", "used"),
    [
        (None, False, "auto", 0),
        (False, False, "auto", 0),
        (True, False, "cpu", 0),
        (True, False, "auto", 1),
        (True, False, "cuda", 1),
        (True, True, "cuda", 4),
        (True, True, "cpu", 0),
    ],
    ids=["no torch", "no gpu", "cpu", "auto", "cuda", "vllm", "vllm on the cpu"],
)
def test_devices_are_what_the_process_has_worked_on(torch, vllm, device, used, monkeypatch):
    """`torch` says whether the loaded torch sees a GPU; a stage that never loads it used none."""
    loaded = None
    if torch is not None:
        loaded = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: torch))
    monkeypatch.setitem(sys.modules, "torch", loaded)
    if vllm:
        monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace())
    else:
        monkeypatch.delitem(sys.modules, "vllm", raising=False)
    assert runtime.devices_used(device, tensor_parallel=4) == used


def test_the_peak_is_this_process_own_and_not_that_of_who_started_it(
    monkeypatch: pytest.MonkeyPatch,
):
    """On Linux `ru_maxrss` of a fresh process is that of its parent; VmHWM is its own."""
    text = "Name:\tpython\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n"
    monkeypatch.setattr(runtime.Path, "read_text", lambda path, **_: text)
    assert runtime.own_peak() == 2.0

    def missing(path, **_):
        raise OSError

    monkeypatch.setattr(runtime.Path, "read_text", missing)
    usage = SimpleNamespace(ru_maxrss=3 * 1024)
    monkeypatch.setattr(runtime.resource, "getrusage", lambda who: usage)
    assert runtime.own_peak() == 3.0


@pytest.mark.parametrize(
    ("child", "workers", "peak"),
    [(50, 1, 100.0), (100, 1, 100.0), (130, 1, 130.0), (130, 4, 220.0)],
)
def test_what_a_child_has_of_its_parent_counts_once(monkeypatch, child, workers, peak):
    """A compiler that a stage of 8 GB starts has a figure of 8 GB, of which it used nothing."""
    usage = SimpleNamespace(ru_maxrss=child * runtime._UNIT)
    monkeypatch.setattr(runtime, "own_peak", lambda: 100.0)
    monkeypatch.setattr(runtime.resource, "getrusage", lambda who: usage)
    monkeypatch.setattr(runtime, "_workers", 1)
    runtime.expect_workers(workers)
    assert runtime._peak_memory() == peak


def test_a_process_that_only_starts_another_uses_no_more(tmp_path):
    """By the system's own figures: the parent holds 200 MiB, its child next to nothing."""
    code = """if True:
        import subprocess
        from montessori.pipeline import runtime
        held = b"x" * (200 * 2**20)
        subprocess.run(["true"], preexec_fn=lambda: None)
        print(runtime.own_peak(), runtime._peak_memory())"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    own, peak = map(float, done.stdout.split())
    assert own > 200
    assert peak < 1.1 * own
