"""The stage judge against a slow, wrong and rate-limited server, and killed in the middle.

What would break: a fault of the server loses a verdict, changes one, or makes the same request be
paid twice.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import polars as pl
import pytest

from montessori.artifacts.files import read_json, read_table
from montessori.artifacts.schemas import VERDICTS
from tests.command_line import options
from tests.evals.judge_case import MODEL, PROMPTS, ROOT, answered, choice_of, hosted, public_evals
from tests.generate.fake_server import FakeServer

ITEMS = 20
DISTINCT = 4 * ITEMS  # two comparisons and two turns an item
FAULTS = ["429", "500", "cut", "not json", "502", "cut json", "no choices", "429", "503", "cut"]
FLIGHT = 4


def reply(turns, seed):
    time.sleep(0.02)
    return ("M" if choice_of(turns) else f"Rating: [[{1 + len(turns[-1]) % 10}]]"), True


@pytest.fixture
def folder(tmp_path):
    """Items, answers of two runs and params.yaml, as the stage finds them."""
    evals = public_evals(tmp_path / "evals", ITEMS)
    answered(evals, tmp_path / "answers" / "a", lambda item, turn: f"ours {item} {turn}")
    answered(evals, tmp_path / "answers" / "b", lambda item, turn: f"theirs {item} {turn}")
    params = {
        "seed": 0,
        "judge": {"model": "judge", "prompts": "prompts"},
        "benchmark": {"split": "dev", "max_new_tokens": 9},
        "machine": {"server_requests": FLIGHT, "server_retries": 4},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    return tmp_path


def start(folder, out):
    """The stage as `dvc repro` runs it, in a process of its own."""
    command = [
        *(sys.executable, "-m", "stages.judge"),
        *options(name="a", model="judge", prompts=PROMPTS, evals="evals", out=out),
        *options(answers="answers/a", against="answers/b"),
    ]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})


def finish(process):
    assert process.wait(timeout=120) == 0


def asked_for(bodies):
    return Counter((body["messages"][-1]["content"], body["seed"]) for body in bodies)


def verdicts(folder, out):
    return read_table(folder / out / "verdicts.parquet", VERDICTS)


def test_faults_and_a_kill_lose_nothing_and_pay_nothing_twice(folder):
    with FakeServer(reply, faults=FAULTS, models=[MODEL]) as server:
        hosted(folder, server.url)
        process = start(folder, "first")
        deadline = time.monotonic() + 90
        while len(server.answered) < 30 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (folder / "first").exists()
        assert not server.faults
        time.sleep(0.2)
        before = len(server.answered)
        assert 30 <= before < DISTINCT
        kept = folder / ".work" / "judge" / "a.answers.jsonl"
        assert kept.is_file()

        finish(start(folder, "first"))
        paid = asked_for(server.answered)
        assert len(paid) == DISTINCT
        assert sum(paid.values()) - DISTINCT <= FLIGHT  # in flight when it was killed
        assert not kept.exists()

        finish(start(folder, "second"))  # nothing is asked for again
        assert asked_for(server.answered) == paid
    first, second = verdicts(folder, "first"), verdicts(folder, "second")
    assert first.equals(second)
    assert first["problem"].to_list() == [""] * DISTINCT
    assert first["key"].n_unique() == DISTINCT
    spent = read_json(folder / "first" / "judge.json")["spent"]
    garbage = 3  # answers that were paid for and cannot be read
    assert spent["requests"] == DISTINCT + garbage


def test_verdicts_are_those_of_a_server_without_faults(folder):
    tables = []
    for faults, out in ((FAULTS, "faulty"), ((), "sound")):
        with FakeServer(reply, faults=faults, models=[MODEL]) as server:
            hosted(folder, server.url)
            finish(start(folder, out))
        tables.append(verdicts(folder, out).drop("key"))
    assert tables[0].equals(tables[1])
    assert tables[0].filter(pl.col("benchmark") == "mt_bench")["score"].null_count() == 0
