"""What a server says is not believed: its size, its count of tokens, its model's name, its texts.

What would break: a small body fills the memory, a negative count makes a budget endless, another
model's answers pass for the teacher's, or a key that a server repeats gets into errors and rows.
"""

import gzip
import json
import logging
import time
from contextlib import suppress

import pytest

from montessori.errors import MontessoriError
from montessori.generate import body_limit
from montessori.generate.engine import Generated, Request, Sampling
from montessori.generate.engines import open_engine
from montessori.generate.hidden_key import hide_key, hide_key_in
from montessori.generate.reasons import read_reason
from montessori.generate.settings import GenerationParams
from montessori.generate.shapes import is_version, other_model
from montessori.pipeline.machine import Machine
from tests.generate.fake_server import FakeServer

KEY = "sk-fake-abcdef123456"


@pytest.fixture
def served():
    with FakeServer(lambda turns, seed: ("Blue.", True), models=["big"]) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("montessori.generate.server.FIRST_WAIT", 0.01)


def opened(tmp_path, server, retries=0, **machine):
    folder = tmp_path / "big"
    folder.mkdir(exist_ok=True)
    prices = {"input": 1.0, "output": 1.0}
    described = {"server": server.url, "model": "big", "key_env": "K", "usd_per_million": prices}
    (folder / "server.json").write_text(json.dumps(described))
    machine = Machine(server_retries=retries, **machine)
    ledger = tmp_path / "ledger.jsonl"
    return open_engine(folder, GenerationParams("openai"), machine, {"K": KEY}.get, ledger)


def ask(engine, number=1, **sampling):
    dialogues = [[{"role": "user", "content": f"Question {n}?"}] for n in range(number)]
    requests = [Request(prompt) for prompt in engine.render_prompts(dialogues)]
    return engine.generate(requests, Sampling(20, **sampling))


# -------------------------------------------------------------------------------------- the body
def send_raw(body, *, encoding=None, status=200):
    def send(handler):
        handler.send_response(status)
        handler.send_header("content-length", str(len(body)))
        if encoding:
            handler.send_header("content-encoding", encoding)
        handler.end_headers()
        handler.wfile.write(body)

    return send


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("packed", [True, False])
def test_a_body_has_a_limit_of_size_packed_or_not(served, tmp_path, monkeypatch, packed, status):
    monkeypatch.setattr(body_limit, "MOST", 100_000)
    body = json.dumps({"choices": [{"message": {"content": "a" * 200_000}}]}).encode()
    sent = gzip.compress(body) if packed else body
    served.raw = send_raw(sent, encoding="gzip" if packed else None, status=status)
    with pytest.raises(MontessoriError, match="larger than 0 MiB"):
        ask(opened(tmp_path, served))


def test_an_answer_that_is_packed_is_read_and_one_in_a_foreign_way_is_not(served, tmp_path):
    body = json.dumps({"choices": [{"message": {"content": "Red."}}]}).encode()
    served.raw = send_raw(gzip.compress(body), encoding="GZIP")
    assert ask(opened(tmp_path, served))[0].text == "Red."
    served.raw = send_raw(body, encoding="br")
    with pytest.raises(MontessoriError, match="packed as 'br'"):
        ask(opened(tmp_path, served), 2)
    served.raw = send_raw(b"no gzip", encoding="gzip")
    with pytest.raises(MontessoriError):
        ask(opened(tmp_path, served), 2)


def test_an_answer_that_comes_in_drops_has_a_limit_of_time(served, tmp_path, monkeypatch):
    monkeypatch.setattr("montessori.generate.server.TIMEOUT", 0.3)

    def drip(handler):
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        with suppress(OSError):  # nobody reads on
            for _ in range(100):
                handler.wfile.write(b" ")
                served.pause.wait(0.05)

    served.raw, started = drip, time.monotonic()
    with pytest.raises(MontessoriError, match="no answer within 0.3 s"):
        ask(opened(tmp_path, served))
    assert time.monotonic() - started < 4  # seconds; all drops take five


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"error":' * 900, b"x" * 200_000])
def test_a_body_that_is_no_completion_is_said_in_a_few_words(served, tmp_path, body):
    served.raw = send_raw(body)
    with pytest.raises(MontessoriError, match="no completion") as error:
        ask(opened(tmp_path, served))
    assert len(str(error.value)) < 200_000
    assert len(read_reason("x" * 10**6)) <= 100_000


# --------------------------------------------------------------------------------------- the key
def test_the_key_is_cut_out_of_a_refusal_before_it_is_read(served, tmp_path, caplog):
    """A refusal of log-probabilities was looked at in lower case, with the key in it."""
    said = f"logprobs unsupported; you sent {KEY.upper()} and {KEY.title()}"
    served.refusal = lambda body: (400, said)
    with pytest.raises(MontessoriError) as error:
        ask(opened(tmp_path, served), 2, logprobs=5)
    assert "[key]" in str(error.value)
    assert KEY not in (str(error.value) + caplog.text).lower()


def test_the_key_in_an_answer_never_becomes_a_row(served, tmp_path):
    hidden = KEY.upper().replace("-", "\\u002d").encode()  # as JSON may write it
    served.raw = send_raw(b'{"choices": [{"message": {"content": "Use %s."}}]}' % hidden)
    assert ask(opened(tmp_path, served))[0].text == "Use [key]."
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert KEY not in "".join(written).lower()


def test_all_forms_of_a_key_are_hidden_and_words_of_answers_stay():
    key = "sk-a/b-0123456789"
    told = f"Bearer SK-A%2fB-0123456789, {key}, x{key.upper()}y"
    assert hide_key(told, key) == "Bearer [key], [key], x[key]y"
    assert hide_key("nothing", None) == "nothing"
    assert hide_key_in({"text": ["The list is EMPTY."]}, "EMPTY") == {
        "text": ["The list is EMPTY."]
    }
    assert hide_key_in({KEY: [KEY, 3]}, KEY) == {"[key]": ["[key]", 3]}


def test_a_short_key_is_hidden_as_a_whole_word_in_its_own_case():
    told = "the list is empty, not EMPTYING: wrong key 'EMPTY'"
    assert hide_key(told, "EMPTY") == "the list is empty, not EMPTYING: wrong key '[key]'"
    assert hide_key("Bearer a%2Fb, a/b", "a/b") == "Bearer [key], [key]"


# ------------------------------------------------------------------------------- usage and model
@pytest.mark.parametrize("usage", [{"prompt_tokens": -20, "completion_tokens": -5}, {}, None])
def test_a_count_below_zero_or_none_is_the_worst_case_and_unknown_in_rows(served, tmp_path, usage):
    served.shape = lambda answer: answer | {"usage": usage}
    engine = opened(tmp_path, served)
    assert [answer.known_tokens for answer in ask(engine)] == [None]
    spent = engine.ledger.total
    assert spent.completion_tokens == 20  # max_new_tokens
    assert spent.prompt_tokens > 0
    assert spent.usd > 0
    with pytest.raises(MontessoriError, match="the budget ends here"):
        ask(opened(tmp_path, served, max_usd=1.5 * spent.usd), 3)


def test_no_tokens_are_known_of_an_empty_text_and_of_a_counted_one():
    assert Generated("", 0, True, 0, 0).known_tokens == 0
    assert Generated("Blue.", 2, True, 0, 0).known_tokens == 2
    assert Generated("", 0, True, 0, 0, thought="Hm.").known_tokens is None


@pytest.mark.parametrize(
    ("answered", "told"), [("another-model", True), ("big-2024-08-06", False), ("Hub/BIG", None)]
)
def test_answers_of_another_model_are_counted_under_its_name(
    served, tmp_path, caplog, answered, told
):
    served.shape = lambda answer: answer | {"model": answered}
    engine = opened(tmp_path, served)
    with caplog.at_level(logging.WARNING):
        ask(engine, 3)
    counted = engine.ledger.sum_costs().get("answered_by")
    assert counted == (None if told is None else {answered: 3})
    assert caplog.text.count("says that another-model answers") == (1 if told else 0)
    again = opened(tmp_path, served)  # as a stage that was killed begins
    assert again.ledger.sum_costs().get("answered_by") == counted


def test_names_of_the_same_model():
    assert other_model("openai/gpt-4o", "gpt-4o") == ""
    assert other_model("gpt-4o", "gpt-4o-mini") == "gpt-4o-mini"
    assert is_version("gpt-4o", "gpt-4o-2024-08-06")
    assert is_version("llama3", "llama3:latest")
    assert not is_version("gpt-4o", "gpt-4o-mini")
    assert not is_version("big", "small")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4", "gpt-4.1"),
        ("gpt-3", "gpt-3.5"),
        ("llama3", "llama3.1"),
        ("claude-3", "claude-3-5"),
        ("qwen2", "qwen2.5"),
        ("llama3", "llama32024"),
    ],
)
def test_the_next_model_of_a_family_is_no_version(asked, answered):
    assert not is_version(asked, answered)


@pytest.mark.parametrize("tail", ["-20240229", "-0613", "-2411", "@20240229", "-preview", "-v0.3"])
def test_dates_numbers_and_words_behind_a_name_are_versions(tail):
    assert is_version("hub/m-3", f"M-3{tail}")
