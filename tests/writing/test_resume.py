"""A killed writing stage continues and gives the same bytes.

What would break: a kill loses what a teacher wrote, changes it, or mixes it with parts of other
settings.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from montessori.writing.produce import write_dataset
from montessori.writing.settings import SynthParams
from tests.writing.scripted import ROOT, ScriptedEngine, main, make_inputs, make_order


def parts_in(folder: Path) -> list[Path]:
    return sorted((folder / "work").rglob("0*.parquet"))


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.writing.scripted", str(folder), "0.25"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def test_killed_at_a_random_part_it_continues_to_the_same_bytes(tmp_path):
    make_inputs(tmp_path)
    main(tmp_path, 0.0)
    whole = (tmp_path / "out" / "rows.parquet").read_bytes()
    manifest = (tmp_path / "out" / "manifest.json").read_bytes()
    for file in (tmp_path / "out").iterdir():
        file.unlink()
    (tmp_path / "out").rmdir()

    wanted = random.SystemRandom().randint(1, 3)
    process = start(tmp_path)
    deadline = time.monotonic() + 60
    while len(parts_in(tmp_path)) < wanted and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = len(parts_in(tmp_path))
    assert left >= wanted
    assert not (tmp_path / "out").exists()

    engine = ScriptedEngine()
    inputs = {name: tmp_path / name for name in ("teacher", "seeds", "evals")}
    inputs["template"] = ROOT / "data" / "micro" / "prompts" / "instruction.jinja"
    order, settings = make_order(tmp_path, inputs, engine)
    write_dataset(order, settings, SynthParams(60, 3.0), tmp_path / "out", tmp_path / "skills.csv")
    assert (tmp_path / "out" / "rows.parquet").read_bytes() == whole
    assert (tmp_path / "out" / "manifest.json").read_bytes() == manifest
    fresh = ScriptedEngine()
    write_dataset(
        *make_order(tmp_path, inputs, fresh), SynthParams(60, 3.0), tmp_path / "o", tmp_path / "s"
    )
    assert 0 < engine.calls < fresh.calls
    assert parts_in(tmp_path) == []


@pytest.mark.parametrize("changed", ["seed", "seeds", "params"])
def test_parts_of_other_work_are_not_picked_up(tmp_path, changed):
    inputs = make_inputs(tmp_path)

    class Stopping(ScriptedEngine):
        def generate(self, requests, sampling, on_done=None):
            if self.calls == 4:
                raise KeyboardInterrupt
            return super().generate(requests, sampling, on_done)

    def write(engine, **changes):
        order, settings = make_order(tmp_path, inputs, engine, **changes)
        write_dataset(order, settings, SynthParams(40, 3.0), tmp_path / "out", tmp_path / "s.csv")

    with pytest.raises(KeyboardInterrupt):
        write(Stopping())
    assert parts_in(tmp_path)
    changes = {}
    if changed == "seed":
        changes["seed"] = 1
    elif changed == "seeds":
        make_inputs(tmp_path / "other", seeds=41)
        inputs = {**inputs, "seeds": tmp_path / "other" / "seeds"}
    else:
        from montessori.writing.settings import FilterParams

        changes["filter"] = FilterParams(7, 400, 0.95, (), True, 0.0, False)
    resumed, fresh = ScriptedEngine(), ScriptedEngine()
    write(resumed, **changes)
    first = (tmp_path / "out" / "rows.parquet").read_bytes()
    write(fresh, work=tmp_path / "elsewhere", **changes)
    assert resumed.calls == fresh.calls
    assert (tmp_path / "out" / "rows.parquet").read_bytes() == first
