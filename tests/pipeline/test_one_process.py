"""The lock of a stage: one process holds it, and nothing of it is left after a kill.

What would break: two processes write one output and destroy it, or a stage that was killed cannot
be started again.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.pipeline.one_process import FOLDER, hold_stage

ROOT = Path(__file__).parents[2]
HOLD = """
import time
from montessori.pipeline.one_process import hold_stage
with hold_stage("probe@a"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start_holder() -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_until_the_first_is_gone():
    first = start_holder()
    with pytest.raises(MontessoriError) as error, hold_stage("probe@a", patience=0):
        pass
    assert f"probe@a is already running: process {first.pid}, since 2" in str(error.value)
    assert f"kill {first.pid}" in error.value.next
    assert "has ended" not in error.value.what
    with hold_stage("probe@b", patience=0):
        pass
    first.kill()
    first.wait()
    with hold_stage("probe@a", patience=0):
        assert (FOLDER / "probe@a").read_text().startswith(f"{os.getpid()} ")


def test_a_lock_is_waited_for_a_moment():
    """Forked workers of a killed stage hold it for a second more."""
    first = start_holder()
    ender = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {first.pid}"])
    with hold_stage("probe@a", patience=20):
        pass
    first.wait()
    ender.wait()


def test_a_process_that_its_parent_left_is_called_so(place: Path):
    """`kill` of `dvc` alone leaves the stage running."""
    code = place / "hold.py"
    code.write_text(HOLD)
    subprocess.run(
        f"PYTHONPATH={ROOT} {sys.executable} {code} > out.txt & echo $! > pid",
        shell=True,
        check=True,
    )
    out = place / "out.txt"
    while not out.exists() or out.read_text() != "held\n":
        time.sleep(0.02)
    process = int((place / "pid").read_text())
    try:
        with pytest.raises(MontessoriError, match="that started it has ended"):  # noqa: SIM117
            with hold_stage("probe@a", patience=0):
                pass
    finally:
        os.kill(process, 9)


def test_without_a_place_for_the_lock_the_stage_runs(place: Path):
    (place / ".work").write_text("in the way")
    with hold_stage("probe@a", patience=0):
        pass
