"""The engine that asks a server, against a real HTTP server on loopback.

What would break: requests are lost or doubled by faults, a key leaks into a file or an error, or
text depends on the order of requests.
"""

import json
import socket
from dataclasses import replace

import pytest

from montessori.errors import MontessoriError
from montessori.generate import Request, Sampling
from montessori.generate.engines import open_engine
from montessori.generate.settings import GenerationParams
from montessori.graph.load import read_section
from montessori.pipeline.machine import Machine
from tests.generate.fake_server import GARBAGE, FakeServer
from tests.tiny_models import tiny_llama

DIALOGUES = [[{"role": "user", "content": f"What is {n} plus 25?"}] for n in range(6)]
SAMPLING = Sampling(60, temperature=0.7, top_p=0.9, presence_penalty=1.0)
KEY = "sk-very-secret-0123456789"
OPENAI = GenerationParams("openai")


def reply(turns, seed):
    return f"{turns[-1][-40:]} is {seed}", seed % 3 > 0


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits between tries a fiftieth as long."""
    monkeypatch.setattr("montessori.generate.server.FIRST_WAIT", 0.01)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("data") / "models" / "teacher")


@pytest.fixture
def hosted(tmp_path):
    """A function that makes the folder of a hosted model."""
    from montessori.models.prepare import prepare_model

    def make(url, **more):
        prices = {"input": 2.0, "output": 10.0}
        row = {"server": url, "model": "big", "key_env": "", "usd_per_million": prices, **more}
        (tmp_path / "big.json").write_text(json.dumps(row))
        prepare_model(tmp_path / "big.json", tmp_path / "none", tmp_path / "big")
        return tmp_path / "big"

    return make


def opened(folder, tmp_path, fake=None, secrets=(), **machine):
    """An engine with `machine` settings; `secrets` are the environment."""
    machine = {"server": fake.url if fake else "", "server_retries": 2} | machine
    return open_engine(
        folder, OPENAI, Machine(**machine), dict(secrets).get, tmp_path / "ledger.jsonl"
    )


def requests_of(engine, samples=2, first=0):
    return [
        Request(prompt, tuple(first + 10 * i + k for k in range(samples)))
        for i, prompt in enumerate(engine.render_prompts(DIALOGUES))
    ]


def test_a_served_folder_is_asked_in_its_own_tokens(teacher, tmp_path):
    with FakeServer(reply) as server:
        engine = opened(teacher, tmp_path, server)
        results = engine.generate(requests_of(engine), SAMPLING)
    assert [(r.request, r.sample) for r in results] == [(i, k) for i in range(6) for k in range(2)]
    for result in results:
        seed = 10 * result.request + result.sample
        assert result.text.endswith(f"+ 25?<|end|><|assistant|> is {seed}".replace("+", "plus"))
        assert result.finished == (seed % 3 > 0)
        assert result.tokens == len(engine.dialect.tokenizer(result.text)["input_ids"])
    body = next(body for body in server.asked if body["seed"] == 31)
    assert body["prompt"] == list(engine.render_prompts([DIALOGUES[3]])[0])
    wanted = {"temperature": 0.7, "top_p": 0.9, "presence_penalty": 1.0, "max_tokens": 60}
    wanted |= {"stop_token_ids": [3], "repetition_penalty": 1.0, "model": "models/teacher"}
    assert wanted.items() <= body.items()
    assert "<|end|>" in engine.special_texts


def test_another_server_than_vllm_stops_at_texts(teacher, tmp_path):
    with FakeServer(reply, owner="other") as server:
        engine = opened(teacher, tmp_path, server)
        (result,) = engine.generate(requests_of(engine, samples=1)[1:2], SAMPLING)
    assert server.asked[0]["stop"] == ["<|end|>"]
    assert "stop_token_ids" not in server.asked[0]
    assert result.text.endswith(" is 10")


@pytest.mark.parametrize(("owner", "sent"), [("vllm", ["\n\n"]), ("other", ["\n\n", "<|end|>"])])
def test_stop_texts_are_sent_to_a_server(teacher, tmp_path, owner, sent):
    with FakeServer(reply, owner=owner) as server:
        engine = opened(teacher, tmp_path, server)
        engine.generate(requests_of(engine, samples=1)[1:2], replace(SAMPLING, stop=("\n\n",)))
    assert server.asked[0]["stop"] == sent


def test_a_hosted_model_is_asked_in_dialogues(hosted, tmp_path):
    with FakeServer(reply, models=["big"], key=KEY) as server:
        folder = hosted(server.url, key_env="BIG_KEY", limit="max_completion_tokens")
        engine = opened(folder, tmp_path, secrets={"BIG_KEY": KEY})
        (result,) = engine.generate(requests_of(engine, samples=1)[4:5], SAMPLING)
    assert result.text == "What is 4 plus 25? is 40"
    assert server.asked[0]["messages"] == DIALOGUES[4]
    assert server.asked[0]["max_completion_tokens"] == 60
    assert engine.special_texts == ()


def test_text_depends_on_prompt_and_seed_not_on_the_order(teacher, tmp_path):
    with FakeServer(reply) as server:
        first = opened(teacher, tmp_path / "a", server)
        expected = {
            (r.request, r.sample): r.text for r in first.generate(requests_of(first), SAMPLING)
        }
        other = opened(teacher, tmp_path / "b", server, server_requests=1)
        results = other.generate(requests_of(other)[::-1], SAMPLING)
    assert {(5 - r.request, r.sample): r.text for r in results} == expected


def test_no_more_requests_in_flight_than_allowed(teacher, tmp_path):
    with FakeServer(reply) as server:
        engine = opened(teacher, tmp_path, server, server_requests=3)
        done = []
        engine.generate(requests_of(engine), SAMPLING, done.append)
        assert server.most == 3
        assert sum(done) == 12


@pytest.mark.parametrize("fault", ["429", "500", "502", "503", "cut", *GARBAGE])
def test_a_fault_is_tried_again_and_nothing_is_lost_or_doubled(teacher, tmp_path, fault):
    with FakeServer(reply) as server:
        calm = opened(teacher, tmp_path / "calm", server)
        expected = calm.generate(requests_of(calm), SAMPLING)
        server.asked.clear()
        server.answered.clear()
        server.faults.extend([fault, fault])
        engine = opened(teacher, tmp_path / "rough", server)
        assert engine.generate(requests_of(engine), SAMPLING) == expected
    assert len(server.asked) == 14
    assert len(server.answered) == 12
    assert len({body["seed"] for body in server.answered}) == 12


@pytest.mark.parametrize(
    ("faults", "text", "next"),
    [
        (["503"] * 3, "503.*after 3 tries", "finished answers are kept"),
        (["429"] * 3, "429.*after 3 tries", "machine.server_requests"),
        (["cut"] * 3, "cannot be reached", "start one"),
        (["not json"] * 3, "no completion, 3 times in a row: gateway", "server's log"),
        (["402"], "status 402; you sent", "finished answers are kept"),
        (["401"], "wants a key, and there is none", "export"),
    ],
)
def test_what_does_not_pass_is_an_error_and_keeps_what_was_paid(
    teacher, tmp_path, faults, text, next
):
    with FakeServer(reply) as server:
        engine = opened(teacher, tmp_path, server, server_requests=1)
        requests = requests_of(engine)
        engine.generate(requests[:2], SAMPLING)
        server.faults.extend(faults)
        with pytest.raises(MontessoriError, match=text) as error:
            engine.generate(requests, SAMPLING)
        assert next in str(error.value)
        assert server.url in str(error.value)
        server.faults.clear()
        asked = len(server.asked)
        again = opened(teacher, tmp_path, server)
        assert len(again.generate(requests, SAMPLING)) == 12
        assert len(server.asked) == asked + 12 - 4


def test_nothing_more_is_sent_after_a_failure(teacher, tmp_path):
    with FakeServer(reply, faults=["402"]) as server:
        engine = opened(teacher, tmp_path, server, server_requests=2)
        with pytest.raises(MontessoriError, match="status 402"):
            engine.generate(requests_of(engine), SAMPLING)
        assert len(server.asked) <= 3
        assert len(engine.ledger.answers) == len(server.answered)


def test_a_server_without_the_model_says_what_it_has(teacher, hosted, tmp_path):
    with FakeServer(reply, models=["models/other", "gpt-x"]) as server:
        with pytest.raises(MontessoriError, match="it has models/other, gpt-x") as error:
            opened(teacher, tmp_path, server)
        assert f"vllm serve {teacher}" in str(error.value)
        engine = opened(hosted(server.url), tmp_path)
        with pytest.raises(MontessoriError, match="no model 'big'; it has models/other, gpt-x"):
            engine.generate(requests_of(engine), SAMPLING)


def test_nothing_listens(teacher, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(MontessoriError, match="cannot be reached") as error:
        opened(teacher, tmp_path, server=url)
    assert f"{url}/v1" in str(error.value)
    assert "vllm serve" in str(error.value)


def test_the_port_is_taken_by_something_else(teacher, tmp_path):
    with FakeServer(reply) as server, pytest.raises(MontessoriError, match="port taken"):
        opened(teacher, tmp_path, server=server.url + "/other")
    with pytest.raises(MontessoriError, match="no server to ask"):
        opened(teacher, tmp_path)


def test_a_prompt_without_room_is_not_sent(teacher, tmp_path):
    with FakeServer(lambda turns, seed: ("ok", True)) as server:
        engine = opened(teacher, tmp_path, server)
        full, tight = engine.generate([Request([5] * 512), Request([5] * 500)], SAMPLING)
    assert (full.text, full.finished) == ("", False)
    assert [body["max_tokens"] for body in server.asked] == [12]


def test_answers_of_another_model_are_not_picked_up(teacher, tmp_path):
    other = tiny_llama(tmp_path / "models" / "teacher", seed=9)
    with FakeServer(reply) as server:
        first = opened(teacher, tmp_path, server)
        first.generate(requests_of(first), SAMPLING)
        second = opened(other, tmp_path, server)
        second.generate(requests_of(second), SAMPLING)
        assert len(server.asked) == 24
        third = opened(other, tmp_path, server)
        third.generate(requests_of(third), Sampling(60, temperature=0.8))
        assert len(server.asked) == 36


# ---------------------------------------------------------------------------------------- budget
def test_tokens_and_money_are_counted(hosted, tmp_path):
    with FakeServer(reply, models=["big"], faults=["no choices"]) as server:
        engine = opened(hosted(server.url), tmp_path)
        results = engine.generate(requests_of(engine), SAMPLING)
    prompt = sum(2 * len(d[0]["content"]) for d in DIALOGUES)
    completion = sum(len(server.tokenizer(r.text)["input_ids"]) + r.finished for r in results)
    lost = 16 + 16 + 18, 60  # bytes of the prompt at most, max_new_tokens
    summary = engine.ledger.sum_costs()
    assert summary["requests"] == 13
    assert summary["prompt_tokens"] == prompt + lost[0]
    assert summary["completion_tokens"] == completion + lost[1]
    total = summary["prompt_tokens"] * 2.0 + summary["completion_tokens"] * 10.0
    assert summary["usd"] == pytest.approx(total / 1e6)


@pytest.mark.parametrize("limit", [{"max_tokens": 300}, {"max_usd": 0.0018}])
@pytest.mark.parametrize("faults", [[], ["no choices", "500"]])
def test_a_budget_stops_before_it_is_passed(hosted, tmp_path, limit, faults):
    with FakeServer(reply, models=["big"], faults=faults) as server:
        folder = hosted(server.url)
        engine = opened(folder, tmp_path, **limit)
        with pytest.raises(MontessoriError, match="the budget ends here") as error:
            engine.generate(requests_of(engine), SAMPLING)
        summary = engine.ledger.sum_costs()
        spent = {"max_tokens": engine.ledger.total.tokens, "max_usd": summary["usd"]}
        for name, most in limit.items():
            assert 0.5 * most < spent[name] <= most
        assert f"{engine.ledger.total.tokens} tokens" in str(error.value)
        paid, asked = len(engine.ledger.answers), len(server.asked)
        assert 0 < paid < 12
        again = opened(folder, tmp_path)
        assert len(again.generate(requests_of(again), SAMPLING)) == 12
        assert len(server.asked) - asked == 12 - paid


def test_a_server_that_counts_nothing_costs_the_worst_case(hosted, tmp_path):
    with FakeServer(reply, models=["big"]) as server:
        server.usage = False
        engine = opened(hosted(server.url), tmp_path)
        engine.generate(requests_of(engine, samples=1)[:1], SAMPLING)
    assert engine.ledger.total.completion_tokens == 60


def test_a_budget_in_usd_needs_prices(hosted, tmp_path):
    with FakeServer(reply, models=["big"]) as server:
        folder = hosted(server.url, usd_per_million={})
        with pytest.raises(MontessoriError, match="needs the prices of big"):
            opened(folder, tmp_path, max_usd=1.0)


# ------------------------------------------------------------------------------------------- key
@pytest.mark.parametrize("faults", [["401"], ["503"] * 3, ["402"], ["404"], ["not json"] * 3])
def test_the_key_is_nowhere(hosted, tmp_path, caplog, capfd, faults):
    """The server repeats the key in every error; the log is as loud as it can be."""
    caplog.set_level("DEBUG")
    with FakeServer(reply, models=["big"], key=KEY) as server:
        folder = hosted(server.url, key_env="BIG_KEY")
        engine = opened(folder, tmp_path, secrets={"BIG_KEY": KEY}, server_requests=1)
        engine.generate(requests_of(engine)[:1], SAMPLING)
        server.faults.extend(faults)
        with pytest.raises(MontessoriError) as error:
            engine.generate(requests_of(engine), SAMPLING)
        wrong = opened(folder, tmp_path, secrets={"BIG_KEY": KEY[::-1]})
        with pytest.raises(MontessoriError, match="the server refuses the key") as refused:
            wrong.generate(requests_of(wrong), SAMPLING)
    assert "variable BIG_KEY" in str(refused.value)
    chain, seen = error.value, []
    while chain is not None:
        seen += [str(chain), repr(chain), repr(vars(chain))]
        chain = chain.__cause__
    seen += [repr(engine), repr(engine.server), caplog.text, *capfd.readouterr()]
    seen += [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert len(seen) > 6
    for text in [*seen, str(refused.value)]:
        assert KEY not in text
        assert KEY[::-1] not in text


def test_a_missing_key_is_said_before_anything_is_sent(hosted, tmp_path):
    with FakeServer(reply, models=["big"], key=KEY) as server:
        with pytest.raises(MontessoriError, match="there is no key") as error:
            opened(hosted(server.url, key_env="BIG_KEY"), tmp_path)
        assert "environment variable BIG_KEY" in str(error.value)
        assert server.asked == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("key_env", KEY),
        ("key_env", "gsk_0123456789"),
        ("server", f"https://me:{KEY}@host/v1"),
        ("server", f"https://host/v1?key={KEY}"),
        ("server", f"me:{KEY}@host"),
        ("api_key", KEY),
    ],
)
def test_a_key_in_a_file_is_refused_and_not_repeated(hosted, key, value):
    with pytest.raises(MontessoriError) as error:
        hosted("http://localhost", **{key: value})
    assert key in str(error.value)
    assert KEY not in str(error.value)
    assert "gsk_" not in str(error.value)


@pytest.mark.parametrize("key", ["server", "server_key_env"])
def test_a_key_in_params_is_refused_and_not_repeated(key):
    raw = {"machine": {key: f"http://me:{KEY}@host"}}
    (problem,) = read_section(raw, "machine", Machine)[1]
    assert problem.startswith(f"machine.{key}: ")
    assert KEY not in problem
