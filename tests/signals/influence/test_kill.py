"""An influence stage that is killed, or shared by shards, ends with the same bytes.

What would break: a kill costs all finished parts, or changes scores.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from montessori.pipeline.machine import Machine
from montessori.train.settings import WarmupParams
from montessori.train.warmup import warm_up
from tests.tiny_rows import write_probe

ROOT = Path(__file__).resolve().parents[3]
WARMUP = WarmupParams(
    rows=8,
    epochs=1,
    batch=4,
    learning_rate=1e-3,
    warmup=0.1,
    max_grad_norm=1.0,
    max_length=128,
)


def start(folder: Path, out: str, shard: str = "") -> subprocess.Popen[bytes]:
    """The stage as `dvc repro` would start it, in `folder`."""
    paths = {
        "warmup": "warm",
        "probe": "probe",
        "reference": "reference",
        "out": out,
        "metrics": f"{out}.json",
        "plot": f"{out}.csv",
    }
    options = [f"--{name}={path}" for name, path in paths.items()]
    command = [sys.executable, "-m", "stages.influence", "--name=tiny", *options]
    command += [f"--shard={shard}"] if shard else []
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)


@pytest.fixture
def folder(tmp_path: Path, student: Path, reference: Path, machine: Machine) -> Path:
    """Params, a warm student, 232 rows to score in parts of two, and a reference."""
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["influence"].update(references=10, audit=8, rows_per_part=2, max_length=128)
    params["machine"]["threads"] = 1
    yaml.dump(params, tmp_path / "params.yaml")
    write_probe(tmp_path / "probe", prompts=80, samples=3)
    (tmp_path / "reference").symlink_to(reference)
    warm_up(student, tmp_path / "probe", tmp_path / "warm", WARMUP, 0, machine)
    return tmp_path


def test_killed_at_a_random_part_it_continues_to_the_same_bytes(folder: Path) -> None:
    process = start(folder, "killed")
    wanted, deadline = random.SystemRandom().randint(1, 20), time.monotonic() + 120
    while len(list((folder / ".work").rglob("*.parquet"))) < wanted:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list((folder / ".work").rglob("*.parquet")))
    assert done >= wanted
    assert not (folder / "killed").exists()
    assert not (folder / "killed.json").exists()

    assert start(folder, "killed").wait(timeout=240) == 0
    assert start(folder, "whole").wait(timeout=240) == 0
    for name in ("scores.parquet", "manifest.json"):
        assert (folder / "killed" / name).read_bytes() == (folder / "whole" / name).read_bytes()
    assert (folder / "killed.json").read_bytes() == (folder / "whole.json").read_bytes()


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_shards_fill_the_parts_of_one_run_to_the_same_bytes(folder: Path, count: int) -> None:
    assert start(folder, "whole").wait(timeout=240) == 0
    for index in range(count, 0, -1):
        assert start(folder, "shared", f"{index}/{count}").wait(timeout=240) == 0
        assert not (folder / "shared").exists()
    parts = {path: path.stat().st_mtime_ns for path in (folder / ".work").rglob("*.parquet")}
    assert parts
    process = start(folder, "shared")
    assert process.wait(timeout=240) == 0
    whole, shared = (folder / name / "scores.parquet" for name in ("whole", "shared"))
    assert shared.read_bytes() == whole.read_bytes()


def test_a_shard_that_is_none_is_refused(folder: Path) -> None:
    process = start(folder, "out", "3/2")
    assert process.wait(timeout=60) == 2
