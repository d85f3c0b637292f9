"""Hosted models whose servers leave fields out, refuse, or become slow, over HTTP on loopback.

What would break: a paid answer is thrown away or paid for again, one refused prompt ends a stage,
or all prompts of a stage are sent although the server refuses each.
"""

import asyncio
import json
from dataclasses import replace

import pytest

from montessori.errors import MontessoriError
from montessori.generate import Request, Sampling
from montessori.generate.engines import open_engine
from montessori.generate.ledger import Answer
from montessori.generate.server import Unanswered
from montessori.generate.settings import GenerationParams
from montessori.pipeline.machine import Machine
from tests.generate.fake_server import FakeServer

SAMPLING = Sampling(60, temperature=0.0, presence_penalty=1.0)
KEY = "sk-very-secret-0123456789"
LONG = "This model's maximum context length is 512 tokens."


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("montessori.generate.server.FIRST_WAIT", 0.01)


def served(reply=lambda turns, seed: (f"about {turns[-1]}", True), **more):
    return FakeServer(reply, models=["big"], **more)


def opened(tmp_path, server, machine=None, **row):
    """The engine of a hosted model at `server`."""
    folder = tmp_path / "big"
    folder.mkdir(exist_ok=True)
    described = {"server": server.url, "model": "big", "key_env": "", **row}
    (folder / "server.json").write_text(json.dumps(described))
    machine = Machine(**{"server_retries": 2, **(machine or {})})
    ledger = tmp_path / "ledger.jsonl"
    return open_engine(folder, GenerationParams("openai"), machine, {"K": KEY}.get, ledger)


def requests_of(engine, number=12):
    dialogues = [[{"role": "user", "content": f"Question {n}?"}] for n in range(number)]
    return [Request(prompt) for prompt in engine.render_prompts(dialogues)]


def refuse(word, text, status=400):
    """Refuses what holds `word` in its last turn."""
    return lambda body: (status, text) if word in body["messages"][-1]["content"] else None


# ---------------------------------------------------------------------------------------- shapes
def without(*names):
    return lambda answer: {name: value for name, value in answer.items() if name not in names}


def in_choice(**fields):
    def change(answer):
        answer["choices"][0] |= fields
        return answer

    return change


@pytest.mark.parametrize(
    "shape",
    [
        without("id", "object", "model", "usage"),
        lambda answer: answer | {"usage": {"prompt_tokens": 3, "completion_tokens": None}},
        in_choice(finish_reason=None, logprobs=None, stop_reason=2),
        in_choice(finish_reason="eos_token"),
    ],
)
def test_what_a_server_leaves_out_costs_no_second_request(tmp_path, shape):
    with served() as server:
        server.shape = shape
        engine = opened(tmp_path, server)
        (result,) = engine.generate(requests_of(engine, 1), SAMPLING)
    assert (result.text, result.finished, result.refused) == ("about Question 0?", True, "")
    assert len(server.asked) == 1


def test_an_answer_without_choices_is_asked_for_again_and_then_costs_its_row(tmp_path):
    def shape(answer):
        empty = "3?" in json.dumps(answer)
        return answer | {"choices": []} if empty else answer

    with served() as server:
        server.shape = shape
        engine = opened(tmp_path, server)
        results = engine.generate(requests_of(engine, 6), SAMPLING)
    assert [r.refused for r in results] == ["", "", "", "refused", "", ""]
    assert len(server.asked) == 8


def test_half_characters_are_mended_and_counted(tmp_path):
    with served(lambda turns, seed: ("half \ud83d", True)) as server:
        server.tokenizer = lambda text, **more: {"input_ids": [1]}
        server.tokenizer.eos_token_id = 2
        engine = opened(tmp_path, server)
        (result,) = engine.generate(requests_of(engine, 1), SAMPLING)
    assert result.text == "half \ufffd"
    assert engine.ledger.sum_costs()["half_characters"] == 1


# -------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "refused by the content policy", "content filter"),
        (403, "your input was flagged by moderation", "content filter"),
        (400, LONG, "context"),
        (422, '{"detail": "cannot be read"}', "refused"),
    ],
)
def test_a_refused_prompt_costs_its_row_and_is_not_asked_again(
    tmp_path, caplog, status, text, kind
):
    with served(key=KEY) as server:
        server.refusal = refuse("Question 3?", text, status)
        engine = opened(tmp_path, server, key_env="K")
        results = engine.generate(requests_of(engine), SAMPLING)
        assert [r.refused for r in results] == [kind if n == 3 else "" for n in range(12)]
        assert ("cannot be read" if status == 422 else text) in caplog.text
        assert KEY not in caplog.text
        warmer = replace(SAMPLING, temperature=0.5)
        assert engine.generate(requests_of(engine), warmer)[3].refused == kind
        assert caplog.text.count("refuses a prompt") == 1
        asked = len(server.asked)
        again = opened(tmp_path, server, key_env="K")
        assert again.generate(requests_of(again), SAMPLING) == results
        assert len(server.asked) == asked


@pytest.mark.parametrize("text", [LONG, "<html><body>who are you?</body></html>"])
def test_a_server_that_refuses_everything_stops_the_stage_early(tmp_path, text):
    with served() as server:
        server.refusal = lambda body: (400, text)
        engine = opened(tmp_path, server, {"server_requests": 4})
        with pytest.raises(MontessoriError, match="refuses a request") as error:
            engine.generate(requests_of(engine, 100), SAMPLING)
        assert text[12:24].strip(">") in str(error.value)
        assert '"omit": ["seed"]' in str(error.value)
        assert len(server.asked) < 20
        server.refusal = lambda body: None  # the next start asks for all of them again
        again = opened(tmp_path, server)
        assert not any(r.refused for r in again.generate(requests_of(again), SAMPLING))


def test_many_refused_prompts_behind_an_answer_cost_only_their_rows(tmp_path):
    with served() as server:
        server.refusal = refuse("Question 1", "refused by the content policy")
        engine = opened(tmp_path, server, {"server_requests": 1})
        results = engine.generate(requests_of(engine, 20), SAMPLING)
    assert sum(r.refused == "content filter" for r in results) == 11  # 1 and 10 to 19


def test_settings_that_are_refused_are_left_out_and_told(tmp_path, caplog):
    def refusal(body):
        for name in ("seed", "temperature", "max_tokens"):
            if name in body:
                detail = [{"loc": ["body", name], "msg": "Extra inputs are not permitted"}]
                return 422, json.dumps({"detail": detail})
        return None

    with served() as server:
        server.refusal = refusal
        engine = opened(tmp_path, server, {"server_requests": 1})
        results = engine.generate(requests_of(engine, 5), SAMPLING)
        assert all(r.finished for r in results)
        assert len(server.asked) == 3 + 5
        assert server.asked[-1]["max_completion_tokens"] == 60
        assert '"omit": ["max_tokens", "seed", "temperature"]' in caplog.text
        assert "settings that change the texts: seed, temperature" in caplog.text
        left = engine.ledger.sum_costs()["left_out"]
        assert left == ["max_tokens", "seed", "temperature"]


def test_what_omit_names_is_never_sent(tmp_path):
    with served() as server:
        row = {"omit": ["seed", "temperature", "presence_penalty"]}
        engine = opened(tmp_path, server, **row)
        engine.generate(requests_of(engine, 1), SAMPLING)
        assert set(server.asked[0]) == {"model", "messages", "max_tokens", "top_p"}
        with pytest.raises(MontessoriError, match=r"omit\[0\].*top_q"):
            opened(tmp_path, server, omit=["top_q"])


# ------------------------------------------------------------------------------------ slow server
def test_a_full_server_gets_fewer_requests_and_nothing_times_out(tmp_path, monkeypatch):
    """64 at once would take 2.6 s each, and 8 is the best number."""
    monkeypatch.setattr("montessori.generate.server.TIMEOUT", 5.0)
    with served() as server:
        server.latency = lambda flight: 0.04 * (1 + (flight / 8) ** 2)
        engine = opened(tmp_path, server)
        results = engine.generate(requests_of(engine, 100), SAMPLING)
    assert len(results) == len(server.asked) == 100  # none was asked for twice
    assert engine.desk.flight.climb.base < 48  # `limit` may be a try


def test_requests_that_time_out_lower_the_limit_and_are_not_paid_seven_times(tmp_path, monkeypatch):
    """A server that takes two requests at a time; more of them are all lost."""
    flying, asked = 0, []

    async def request_answer(self, create, body, read):
        nonlocal flying
        flying += 1
        asked.append(body)
        await asyncio.sleep(0.02)
        lost, flying = flying > 2, flying - 1
        if lost:
            raise Unanswered(MontessoriError("no answer"), 0.1, overloaded=True, timed_out=True)
        return Answer("fine", 1, True), (1, 1)

    monkeypatch.setattr("montessori.generate.server.Server.request_answer", request_answer)
    with served() as server:
        engine = opened(tmp_path, server, {"server_retries": 6})
        results = engine.generate(requests_of(engine, 24), SAMPLING)
    assert all(r.text == "fine" for r in results)
    assert engine.desk.flight.climb.limit <= 3
    assert len(asked) < 2 * 24


def test_a_server_that_hangs_is_an_error_after_three_tries(tmp_path, monkeypatch):
    monkeypatch.setattr("montessori.generate.server.TIMEOUT", 0.2)
    with served() as server:
        server.latency = lambda flight: 1.0
        engine = opened(tmp_path, server, {"server_retries": 6, "server_requests": 2})
        with pytest.raises(MontessoriError, match="no answer within 0.2 s, after 3 tries"):
            engine.generate(requests_of(engine, 2), SAMPLING)
        assert len(server.asked) <= 6
