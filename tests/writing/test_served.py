"""A probe that a server writes: killed and continued, counted, stopped by its budget.

What would break: answers are paid for twice, or a probe differs because its server was slow.
"""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from montessori.artifacts.files import read_json, read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.generate.engines import open_engine
from montessori.generate.settings import GenerationParams
from montessori.pipeline.machine import Machine
from montessori.writing.produce import write_probe
from montessori.writing.settings import CollapseParams, ProbeParams
from tests.generate.fake_server import FakeServer
from tests.tiny_models import tiny_llama
from tests.writing.scripted import ROOT, ScriptedEngine, make_inputs, make_order

PROMPTS = 8


def teller():
    """A server's replies: those of the scripted teacher, after a few milliseconds."""
    scripted = ScriptedEngine(endless=0.02)

    def reply(turns, seed):
        import random

        from tests.writing.scripted import _USER

        time.sleep(0.01)
        return scripted._text(_USER.findall(turns[0]) or turns, random.Random(seed))

    return reply


def inputs_of(folder):
    template = ROOT / "data" / "micro" / "prompts" / "instruction.jinja"
    return {"teacher": folder / "teacher", "seeds": folder / "seeds", "template": template}


def write(folder, url, work="work", out="out", **machine):
    """Write a small probe below `folder` through the server at `url`."""
    machine = Machine(server=url, server_requests=4, **machine)
    generation, inputs = GenerationParams("openai"), inputs_of(folder)
    order, settings = make_order(
        folder,
        inputs,
        None,
        work=folder / work,
        generation=generation,
        collapse=CollapseParams(1, 1, 1),
        open_engine=partial(open_engine, inputs["teacher"], generation, machine, os.environ.get),
    )
    return write_probe(order, settings, ProbeParams(PROMPTS), folder / out)


@pytest.fixture
def folder(tmp_path):
    make_inputs(tmp_path)
    tiny_llama(tmp_path / "teacher")
    return tmp_path


def served(folder, **more):
    return FakeServer(teller(), models=[str(folder / "teacher")], **more)


def test_killed_in_a_wave_it_pays_only_for_what_is_missing(folder):
    with served(folder) as server:
        whole = write(folder, server.url, work="first work", out="first")
        total = len(server.asked)
        assert len({(str(b["prompt"]), b["seed"]) for b in server.asked}) == total
        server.asked.clear()
        server.answered.clear()

        command = [sys.executable, "-m", "tests.writing.test_served", str(folder), server.url]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        deadline = time.monotonic() + 60
        while len(server.answered) < 27 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "out").exists()
        assert (folder / "work" / "test.answers.jsonl").is_file()
        before = len(server.asked)
        assert before < total

        again = write(folder, server.url)
    asked = [(str(body["prompt"]), body["seed"]) for body in server.asked]
    assert len(set(asked)) == total
    assert len(asked) - total <= 4  # those in flight when it was killed
    first, second = (read_table(folder / name / "rows.parquet", PROBE) for name in ("first", "out"))
    assert first.equals(second)
    assert again == whole
    assert not list((folder / "work").iterdir())


def test_metrics_count_what_the_server_took(folder):
    with served(folder) as server:
        metrics = write(folder, server.url)
    assert metrics["server"]["requests"] == len(server.asked)
    assert metrics["server"]["prompt_tokens"] == sum(len(b["prompt"]) for b in server.asked)
    assert metrics["server"]["completion_tokens"] >= metrics["tokens"]
    assert metrics["server"]["usd"] == 0
    assert read_json(folder / "out" / "manifest.json")["facts"]["engine"] == "openai"


def test_a_budget_leaves_no_artifact_and_all_that_was_paid(folder):
    with served(folder) as server:
        with pytest.raises(MontessoriError, match="the budget ends here"):
            write(folder, server.url, max_tokens=4000)
        assert not (folder / "out").exists()
        paid = len(server.answered)
        assert paid > 5
        metrics = write(folder, server.url)
        assert metrics["server"]["requests"] == len(server.answered) == len(server.asked)
        assert len(server.asked) > paid


def test_a_hosted_teacher_has_a_place_in_the_manifest(folder):
    import json

    from montessori.models.prepare import prepare_model

    with FakeServer(teller(), models=["big-2026-01-01"]) as server:
        row = {
            "server": server.url,
            "model": "big-2026-01-01",
            "key_env": "",
            "usd_per_million": {"input": 1.0, "output": 2.0},
        }
        (folder / "big.json").write_text(json.dumps(row))
        prepare_model(folder / "big.json", folder / "none", folder / "hosted")
        for file in (folder / "teacher").iterdir():
            file.unlink()
        (folder / "teacher").rmdir()
        (folder / "hosted").rename(folder / "teacher")
        metrics = write(folder, "")
    facts = read_json(folder / "out" / "manifest.json")["facts"]
    assert (facts["server"], facts["model"]) == (server.url, "big-2026-01-01")
    cost = metrics["server"]
    expected = (cost["prompt_tokens"] + 2 * cost["completion_tokens"]) / 1e6
    assert cost["usd"] == pytest.approx(expected)
    assert cost["usd"] > 0


def main(folder: Path, url: str) -> None:
    """Write the probe; the kill test stops this process."""
    write(folder, url)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
