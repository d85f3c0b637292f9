"""The decoding loop against plain transformers, and its independence of batches.

What would break: generated text is not what the model would write by itself, or changes with the
batch size.
"""

import pytest

from montessori.errors import MontessoriError
from montessori.generate import Request, Sampling
from tests.tiny_models import tiny_llama, tiny_tokenizer

torch = pytest.importorskip("torch")

PROMPTS = [
    "What is 17 plus 25?",
    "Sort these numbers from smallest to largest: 41, 7, 19, 88, 3, 12.",
    "Spell the word house.",
    "How many minutes are 3 hours and 25 minutes? Answer with a number, please.",
    "Hi",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llama(tmp_path_factory.mktemp("model") / "llama")


def engine_of(folder, **settings):
    from montessori.generate.transformers_engine import TransformersEngine

    return TransformersEngine(folder, device="cpu", **{"threads": 1, **settings})


def requests_for(engine, samples=1, first=0):
    from montessori.models.chat import render_prompts

    ids = render_prompts(engine.tokenizer, [[{"role": "user", "content": p}] for p in PROMPTS])
    return [
        Request(row, tuple(first + 100 * i + k for k in range(samples)))
        for i, row in enumerate(ids)
    ]


def texts(results):
    return [(r.request, r.sample, r.text, r.tokens, r.finished) for r in results]


def test_greedy_text_is_that_of_plain_generate(folder):
    from transformers import AutoModelForCausalLM

    engine = engine_of(folder)
    requests = requests_for(engine)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    for result in engine.generate(requests, Sampling(24)):
        ids = torch.tensor([requests[result.request].ids])
        plain = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24
        )[0, ids.shape[1] :].tolist()
        expected = plain[: plain.index(3)] if 3 in plain else plain
        assert result.tokens == len(expected)
        assert result.text == engine.tokenizer.decode(expected)
        assert result.finished == (3 in plain)


def test_a_stop_text_ends_a_sample_and_the_others_go_on(folder):
    engine = engine_of(folder)
    requests = requests_for(engine)
    whole = engine.generate(requests, Sampling(24, temperature=1.0))
    longest = max(whole, key=lambda result: len(result.text))
    stop = longest.text[6:8]
    stopped = engine.generate(requests, Sampling(24, temperature=1.0, stop=(stop,)))
    assert any(one.tokens < before.tokens for one, before in zip(stopped, whole, strict=True))
    for one, before in zip(stopped, whole, strict=True):
        assert before.text.startswith(one.text)
        if stop in before.text:  # the token that completes the text is the last one
            assert stop in one.text
            assert stop not in one.text[: one.text.index(stop) + len(stop) - 1]
            assert one.finished
        else:
            assert one == before


def test_grouped_heads_on_a_buffer_give_the_logits_of_eager_attention(tmp_path):
    from montessori.generate.attention import register_attention
    from montessori.generate.cache import buffer_cache
    from montessori.models.weights import load_model

    path = tiny_llama(tmp_path / "m", hidden=192)
    fast = load_model(path, torch.float64, register_attention())
    slow = load_model(path, torch.float64, "eager")
    ids = torch.randint(4, 300, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = buffer_cache(fast.config, 12)
    with torch.inference_mode():
        whole = {r: slow(ids[r : r + 1, start:]).logits[0] for r, start in ((0, 4), (2, 0))}
        fast(
            ids[:, :9],
            attention_mask=mask[:, :9],
            position_ids=positions[:, :9],
            past_key_values=cache,
            use_cache=True,
        )
        order = torch.tensor([2, 0])
        cache.batch_select_indices(order)
        for step in range(9, 12):
            logits = fast(
                ids[order, step : step + 1],
                attention_mask=mask[order, : step + 1],
                position_ids=positions[order, step : step + 1],
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]
            expected = torch.stack([whole[2][step], whole[0][step - 4]])
            torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)  # norms are fp32


def count_batches(folder, samples, batch):
    """Samples of each batch of requests with so many samples."""
    requests = [Request((1, 2, 3), tuple(range(count))) for count in samples]
    batches = engine_of(folder, batch=batch)._batches(requests, 4)
    return [sum(len(request.seeds) for _, request in group) for group in batches]


def test_batches_are_few_and_of_one_size(folder):
    """With a full batch and a small rest, one of two workers would wait for the other."""
    assert count_batches(folder, [4] * 20, 64) == [40, 40]
    assert count_batches(folder, [4] * 20, 30) == [28, 28, 24]
    assert count_batches(folder, [1] * 5, 2) == [2, 2, 1]
    assert count_batches(folder, [3, 3], 2) == [3, 3]  # a request stays together
    assert count_batches(folder, [], 64) == []


@pytest.mark.parametrize("settings", [{"batch": 1}, {"batch": 7}, {"batch": 64, "threads": 2}])
def test_sampled_text_does_not_depend_on_the_batch(folder, settings):
    """fp32: a near-tie could flip by rounding; at these sizes none does."""
    sampling = Sampling(20, temperature=1.0, top_p=0.9, presence_penalty=0.3)
    engine = engine_of(folder, batch=3)
    reference = engine.generate(requests_for(engine, samples=3), sampling)
    other = engine_of(folder, **settings)
    assert texts(other.generate(requests_for(other, samples=3), sampling)) == texts(reference)


def test_sampled_text_does_not_depend_on_the_order_or_the_other_requests(folder):
    engine = engine_of(folder, batch=4)
    sampling = Sampling(20, temperature=1.0, top_p=0.95)
    requests = requests_for(engine, samples=2)
    reference = {(r.request, r.sample): r.text for r in engine.generate(requests, sampling)}
    backwards = engine.generate(requests[::-1], sampling)
    last = len(requests) - 1
    assert {(last - r.request, r.sample): r.text for r in backwards} == reference
    alone = engine.generate(requests[2:3], sampling)
    assert [r.text for r in alone] == [reference[2, 0], reference[2, 1]]


def test_other_seeds_give_other_text_and_equal_seeds_the_same(folder):
    engine = engine_of(folder)
    sampling = Sampling(16, temperature=1.0)
    first = engine.generate(requests_for(engine), sampling)
    assert texts(engine.generate(requests_for(engine), sampling)) == texts(first)
    assert texts(engine.generate(requests_for(engine, first=7), sampling)) != texts(first)


def test_a_shorter_limit_gives_the_beginning_of_the_same_text(folder):
    engine = engine_of(folder)
    requests = requests_for(engine)
    long = engine.generate(requests, Sampling(20, temperature=1.0))
    short = engine.generate(requests, Sampling(5, temperature=1.0))
    for a, b in zip(short, long, strict=True):
        assert a.tokens <= 5
        assert b.text.startswith(a.text.rstrip("\ufffd"))


def test_a_prompt_without_room_is_empty_and_unfinished_and_spoils_no_other(folder):
    engine = engine_of(folder)
    requests = requests_for(engine)
    sampling = Sampling(8, temperature=1.0)
    reference = engine.generate(requests, sampling)
    crowded = engine.generate([Request([5] * 600), *requests, Request([5] * 510, (1, 2))], sampling)
    assert (crowded[0].text, crowded[0].finished) == ("", False)
    assert [r.text for r in crowded[1:-2]] == [r.text for r in reference]
    assert all(r.tokens <= 2 for r in crowded[-2:])


def test_no_requests_give_no_text_and_progress_counts_samples(folder):
    engine = engine_of(folder, batch=2)
    assert engine.generate([], Sampling(4)) == []
    done = []
    engine.generate(requests_for(engine, samples=2), Sampling(4), on_done=done.append)
    assert sum(done) == 2 * len(PROMPTS)


def test_a_folder_without_weights_is_refused(tmp_path):
    tiny_tokenizer().save_pretrained(tmp_path / "empty")
    with pytest.raises(MontessoriError, match="no weights"):
        engine_of(tmp_path / "empty")


def test_first_tokens_have_the_log_probabilities_of_the_model(folder):
    """Against the model's own logits, row by row, in a padded batch and in one of its own."""
    engine = engine_of(folder, batch=5)
    requests = requests_for(engine, samples=2)
    found = engine.generate(requests, Sampling(3, temperature=1.0, logprobs=4))
    alone = engine_of(folder, batch=1).generate(requests, Sampling(3, logprobs=4))
    for result, single in zip(found, alone, strict=True):
        ids = torch.tensor([requests[result.request].ids])
        logits = engine.model(ids).logits[0, -1].double()
        expected = (logits - torch.logsumexp(logits, -1)).topk(4)
        texts = engine.decode_texts([[int(i)] for i in expected.indices])
        assert [text for text, _ in result.first] == texts
        assert [value for _, value in result.first] == pytest.approx(
            expected.values.tolist(), abs=1e-4
        )
        assert [text for text, _ in single.first] == texts


def test_first_tokens_are_empty_where_nobody_asks(folder):
    engine = engine_of(folder)
    assert {result.first for result in engine.generate(requests_for(engine), Sampling(3))} == {()}
