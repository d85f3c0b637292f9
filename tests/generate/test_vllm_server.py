"""A real vLLM server on loopback, driven by the engine that asks servers.

What would break: a served model writes other text than the same model inside the process.
"""

import os
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.generate import Sampling
from montessori.generate.engines import open_engine
from montessori.generate.settings import GenerationParams
from montessori.pipeline.machine import Machine
from montessori.writing.produce import write_probe
from montessori.writing.settings import CollapseParams, ProbeParams
from tests.command_line import options
from tests.generate.test_vllm_engine import MACHINE, TEACHER, requests_of, rows, same
from tests.writing.scripted import make_inputs, make_order

pytest.importorskip("vllm", reason="vLLM is not installed for this machine")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("vllm")]

OPENAI = GenerationParams("openai")
COMMAND = [
    *("-m", "vllm.entrypoints.openai.api_server"),
    *options(served_model_name="micro/teacher", dtype="float32", host="127.0.0.1"),
    *options(enforce_eager=True, no_enable_chunked_prefill=True),
    *options(kv_cache_memory_bytes=200 << 20),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a vLLM server with the lab's teacher."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, *COMMAND, "--model", str(TEACHER), "--port", str(port)]
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1"}
    with open(log, "w") as handle:
        process = subprocess.Popen(command, stdout=handle, stderr=handle, env=environment)
    url = f"http://127.0.0.1:{port}/v1"
    try:
        _await(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _await(process, url, log):
    deadline = time.monotonic() + 300
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        try:
            opened(url, Path("unused"))
        except MontessoriError:
            time.sleep(1)
        else:
            return


def opened(url, ledger):
    machine = Machine(server=url, server_requests=32, server_retries=1)
    return open_engine(TEACHER, OPENAI, machine, os.environ.get, ledger)


@pytest.fixture(scope="module")
def offline():
    from montessori.generate.vllm_engine import VllmEngine

    return VllmEngine.open(TEACHER, MACHINE)


def test_the_server_writes_what_the_offline_engine_writes(server, offline, tmp_path):
    engine = opened(server, tmp_path / "ledger.jsonl")
    requests = requests_of(engine, 48)
    for sampling in (Sampling(64), Sampling(5)):
        found = engine.generate(requests, sampling)
        assert same(found, offline.generate(requests, sampling)) >= 0.95
    assert {r.finished for r in found} == {False, True}
    total = engine.ledger.total
    assert total.prompt_tokens == 2 * sum(len(request.ids) for request in requests)


def test_a_sample_depends_on_its_seed(server, tmp_path):
    drawn = Sampling(64, temperature=1.0, top_p=0.95, presence_penalty=0.3)
    first, second = (opened(server, tmp_path / name) for name in ("a", "b"))
    requests = requests_of(first, 16, samples=2)
    written = first.generate(requests, drawn)
    assert len({r.text for r in written}) > 16
    assert same(written, second.generate(requests, drawn)) >= 0.95
    alone = opened(server, tmp_path / "c").generate(requests[3:4], drawn)
    assert [r[2] for r in rows(alone)] == [r.text for r in written[6:8]]


def test_a_small_probe(server, tmp_path):
    inputs = {name: path for name, path in make_inputs(tmp_path).items() if name != "evals"}
    inputs["teacher"] = TEACHER
    machine = Machine(server=server)
    order, settings = make_order(
        tmp_path,
        inputs,
        None,
        generation=OPENAI,
        collapse=CollapseParams(1, 1, 1),
        open_engine=partial(open_engine, TEACHER, OPENAI, machine, os.environ.get),
    )
    metrics = write_probe(order, settings, ProbeParams(10), tmp_path / "out")
    table = read_table(tmp_path / "out" / "rows.parquet", PROBE)
    assert table.height == 40
    assert metrics["kept"] > 0.6
    assert metrics["correct"] > 0.5
    assert metrics["server"]["requests"] > 40


def test_a_context_that_is_too_short_is_said(server, tmp_path):
    """The engine keeps to the folder's context; here the folder claims more than is served."""
    engine = opened(server, tmp_path / "ledger.jsonl")
    engine.dialect.limit = 4096
    from montessori.generate import Request

    with pytest.raises(MontessoriError, match="refuses a request") as error:
        engine.generate([Request([5] * 1500), Request([6] * 1500)], Sampling(8))
    assert "--max-model-len" in str(error.value)


def test_first_tokens_are_those_of_the_offline_engine(server, offline, tmp_path):
    engine = opened(server, tmp_path / "ledger.jsonl")
    requests, sampling = requests_of(engine, 12), Sampling(1, logprobs=5)
    found, expected = engine.generate(requests, sampling), offline.generate(requests, sampling)
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours.first) >= 5
        assert dict(ours.first[:2]) == pytest.approx(dict(theirs.first[:2]), abs=1e-3)


def test_a_prompt_that_is_too_long_may_count_as_empty(server, tmp_path):
    from montessori.generate import Request

    engine = opened(server, tmp_path / "ledger.jsonl")
    engine.dialect.limit = 4096
    whole = requests_of(engine, 2)[1]
    long, short = engine.generate([Request([5] * 1500), whole], Sampling(8))
    assert (long.text, long.tokens, long.finished) == ("", 0, False)
    assert long.refused == "context"
    assert short.tokens > 0
    assert engine.ledger.requests == 2
