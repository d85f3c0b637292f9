"""The vLLM engine with a real vLLM and the lab's teacher, against the engine on transformers.

What would break: data written with vLLM differ from data written with transformers by more than
near-ties.
"""

import random
from pathlib import Path

import pytest

from montessori.formats.prompts import render_instruction_prompt
from montessori.formats.tags import tag_turns
from montessori.generate import Request, Sampling
from montessori.lab.families import FAMILIES
from montessori.lab.task import draw_task
from montessori.pipeline.machine import Machine

pytest.importorskip("vllm", reason="vLLM is not installed for this machine")
pytestmark = pytest.mark.xdist_group("vllm")

TEACHER = Path(__file__).parents[2] / "data" / "micro" / "teacher"
MACHINE = Machine(device="cpu", threads=1)
GREEDY = Sampling(64)
DRAWN = Sampling(64, temperature=1.0, top_p=0.95, presence_penalty=0.3)


def dialogues(count):
    """The lab's instruction prompts, and tasks to be answered, half and half."""
    rng = random.Random(5)

    def task():
        return draw_task(FAMILIES[rng.choice(sorted(FAMILIES))], "train", rng)

    def examples():
        return [tag_turns([turn.instruction for turn in task().turns]) for _ in range(4)]

    texts = [render_instruction_prompt(examples()) for _ in range(count // 2)]
    texts += [task().turns[0].instruction for _ in range(count - len(texts))]
    return [[{"role": "user", "content": text}] for text in texts]


@pytest.fixture(scope="module")
def vllm():
    from montessori.generate.vllm_engine import VllmEngine

    return VllmEngine.open(TEACHER, MACHINE)


@pytest.fixture(scope="module")
def transformers():
    from montessori.generate.transformers_engine import TransformersEngine

    return TransformersEngine.open(TEACHER, MACHINE)


def requests_of(engine, count=32, samples=1):
    prompts = engine.render_prompts(dialogues(count))
    return [
        Request(prompt, tuple(1000 * i + k for k in range(samples)))
        for i, prompt in enumerate(prompts)
    ]


def rows(results):
    return [(r.request, r.sample, r.text, r.tokens, r.finished) for r in results]


def same(first, second):
    """The share of equal samples."""
    pairs = list(zip(rows(first), rows(second), strict=True))
    return sum(a == b for a, b in pairs) / len(pairs)


def test_greedy_text_is_that_of_transformers(vllm, transformers):
    """Rounding flips a near-tie now and then, so not every text need be equal."""
    requests = requests_of(vllm, 64)
    assert requests == requests_of(transformers, 64)
    assert vllm.end_ids == transformers.end_ids
    found = same(vllm.generate(requests, GREEDY), transformers.generate(requests, GREEDY))
    assert found >= 0.95


def test_a_sample_depends_on_its_seed_not_on_its_batch(vllm):
    requests = requests_of(vllm, 24, samples=3)
    whole = vllm.generate(requests, DRAWN)
    assert len({r.text for r in whole}) > 40
    assert rows(vllm.generate(requests, DRAWN)) == rows(whole)
    alone = [vllm.generate([request], DRAWN) for request in requests[:6]]
    assert [r.text for some in alone for r in some] == [r.text for r in whole[:18]]
    backwards = vllm.generate(requests[::-1], DRAWN)
    assert {(23 - r.request, r.sample): r.text for r in backwards} == {
        (r.request, r.sample): r.text for r in whole
    }


def test_turns_end_as_in_transformers(vllm, transformers):
    requests = requests_of(vllm, 8)
    for limit in (3, 64):
        ours, theirs = (e.generate(requests, Sampling(limit)) for e in (vllm, transformers))
        assert [r.finished for r in ours] == [r.finished for r in theirs]
        assert [r.tokens for r in ours] == [r.tokens for r in theirs]
    assert {r.finished for r in vllm.generate(requests, Sampling(3))} >= {False}
    assert not any(text in r.text for r in ours for text in vllm.special_texts)


def test_the_presence_penalty_is_that_of_transformers(vllm, transformers):
    requests = requests_of(vllm, 24)
    strict = Sampling(24, presence_penalty=2.0)
    ours = vllm.generate(requests, strict)
    assert same(ours, transformers.generate(requests, strict)) >= 0.9
    assert same(ours, vllm.generate(requests, Sampling(24))) < 0.9


def test_a_prompt_without_room_is_empty_and_unfinished_and_spoils_no_other(vllm):
    requests = requests_of(vllm, 4)
    expected = [r.text for r in vllm.generate(requests, GREEDY)]
    crowded = vllm.generate([Request([5] * 1024), *requests, Request([5] * 1020, (1, 2))], DRAWN)
    assert (crowded[0].text, crowded[0].finished) == ("", False)
    assert all(r.tokens <= 4 for r in crowded[-2:])
    again = vllm.generate([Request([5] * 1024), *requests], GREEDY)
    assert [r.text for r in again[1:]] == expected
    done = []
    assert vllm.generate([], GREEDY, done.append) == []


def test_first_tokens_are_those_of_transformers(vllm, transformers):
    sampling = Sampling(2, logprobs=30)
    requests = requests_of(vllm, 12)
    for ours, theirs in zip(
        vllm.generate(requests, sampling), transformers.generate(requests, sampling), strict=True
    ):
        assert len(ours.first) == 30
        assert dict(ours.first[:5]) == pytest.approx(dict(theirs.first[:5]), abs=1e-3)
    assert vllm.generate(requests[:1], Sampling(2))[0].first == ()
