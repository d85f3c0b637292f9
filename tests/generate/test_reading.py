"""Models of other architectures than the lab's: read as plain transformers reads them.

What would break: another attention, mask or position than the model's own gives other text and
other log-likelihoods without an error, or a model with states or a table of positions crashes.
"""

from functools import wraps
from pathlib import Path
from types import SimpleNamespace

import pytest

from montessori.errors import MontessoriError
from montessori.evals.lab_benchmarks.loglikelihoods import score_pairs
from montessori.generate import Request, Sampling
from tests.zoo.models import CONTEXT, build_config, save_architecture

torch = pytest.importorskip("torch")

#: Attention sinks; biases by distance; two that call no attention by name; states beside attention;
#: states alone; states that padding enters; states that live in the modules.
OTHERS = (
    "gpt_oss",
    "bloom",
    "falcon",
    "gptj",
    "qwen3_next",
    "mamba2",
    "minimax",
    "recurrent_gemma",
)
PROMPTS = [[10, 11, 12, 90, 91], list(range(20, 41)), [200, 5, 44], list(range(300, 312))]


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory):
    """The engine of an architecture, opened once."""
    from montessori.generate.transformers_engine import TransformersEngine

    opened = {}

    def get(name: str, **settings: int):
        if name not in opened:
            folder = save_architecture(name, tmp_path_factory.mktemp(name), **settings)
            opened[name] = TransformersEngine(folder, device="cpu", threads=1)
        return opened[name]

    return get


def plain_model(engine):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(engine.tokenizer.name_or_path).eval()


def plain_text(engine, model, ids, new):
    """What transformers writes greedily after a prompt by itself."""
    prompt = torch.tensor([ids])
    mask = torch.ones_like(prompt)
    made = model.generate(prompt, attention_mask=mask, do_sample=False, max_new_tokens=new)
    tokens = made[0, len(ids) :].tolist()
    return engine.decode_texts([tokens[: tokens.index(3)] if 3 in tokens else tokens])[0]


@pytest.mark.parametrize("name", OTHERS)
def test_greedy_text_is_that_of_plain_transformers(engine_of, name):
    engine = engine_of(name)
    requests = [Request(ids, (1, 2)) for ids in PROMPTS]
    model = plain_model(engine)
    expected = [plain_text(engine, model, ids, 10) for ids in PROMPTS]
    found = engine.generate(requests, Sampling(10))
    assert [result.text for result in found] == [text for text in expected for _ in (1, 2)]


@pytest.mark.parametrize("name", OTHERS)
def test_choices_have_the_log_likelihoods_of_single_passes(engine_of, name):
    engine = engine_of(name)
    model = plain_model(engine)
    pairs = [(ids, rest) for rest in ([60], [61, 62, 63, 99], [7, 8]) for ids in PROMPTS]
    for (score, _), (context, rest) in zip(score_pairs(engine, pairs, 3), pairs, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([[*context, *rest]])).logits[0, len(context) - 1 : -1]
        expected = logits.log_softmax(-1).gather(1, torch.tensor(rest)[:, None]).sum().item()
        assert score == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["gpt2", "opt", "gpt_neo", "mpt"])
def test_a_prompt_near_the_end_of_the_context_spoils_no_batch(engine_of, name):
    """Positions, or masks, are looked up in a table that ends with the context."""
    engine = engine_of(name)
    model = plain_model(engine)
    lengths = [CONTEXT - 3, 4, 20, 30, 40, 11, 12, 13, 14]  # one that ends early stays in a batch
    prompts = [[10 + (i * step) % 300 for i in range(n)] for step, n in enumerate(lengths, 3)]
    found = engine.generate([Request(ids) for ids in prompts], Sampling(15))
    for result, ids in zip(found, prompts, strict=True):
        assert result.text == plain_text(engine, model, ids, min(15, CONTEXT - len(ids)))


def test_the_ways_of_models(engine_of):
    """The plain kind is read the fast way, and no slower way is taken without need."""
    from montessori.generate.attention import GROUPED, takes_grouped

    llama = engine_of("llama")
    assert llama.model.config._attn_implementation == GROUPED
    assert (llama.way.padded, llama.way.cached, llama.way.joined) == (True, True, True)
    # of sinks, of a cap that short texts do not reach, of code that asks for no attention by name
    for name, attention in (("gpt_oss", "eager"), ("gemma2", "eager"), ("falcon", "sdpa")):
        assert engine_of(name).model.config._attn_implementation == attention
        assert not takes_grouped(engine_of(name).model)
    for name in ("qwen3_next", "mamba"):
        mixed = engine_of(name).way
        assert (mixed.padded, mixed.cached, mixed.joined) == (True, True, False)
    assert not engine_of("minimax").way.padded


@pytest.mark.parametrize(
    ("refused", "way"),
    [("attention_mask", (False, True)), ("past_key_values", (False, False))],
)
def test_what_stops_at_padding_or_at_a_cache_is_read_without(engine_of, refused, way, monkeypatch):
    from montessori.generate.reading import choose_way

    model = engine_of("llama").model
    plain = model.forward

    @wraps(plain)
    def forward(**given):
        if given.get(refused) is not None:
            raise TypeError(refused)
        return plain(**given)

    monkeypatch.setattr(model, "forward", forward)
    found = choose_way(model, list(range(20)))
    assert (found.padded, found.cached) == way


def test_the_context_of_a_model_that_also_reads_images_is_that_of_its_text(engine_of):
    from montessori.generate.local import context_length

    assert context_length(build_config("gemma3_image")) == CONTEXT
    assert engine_of("gemma3_image").limit == CONTEXT


def test_no_text_is_so_long_that_it_changes_the_positions_of_its_batch(engine_of, monkeypatch):
    from montessori.generate import transformers_engine
    from montessori.generate.reading import steady_length

    llama = engine_of("llama")
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 64}
    config = SimpleNamespace(get_text_config=lambda decoder: SimpleNamespace(rope_parameters=rope))
    assert steady_length(config) == 64
    rope |= {"full_attention": {**rope, "original_max_position_embeddings": 32}}  # of some layers
    assert steady_length(config) == 32
    assert steady_length(llama.model.config) > CONTEXT
    monkeypatch.setattr(transformers_engine, "steady_length", lambda config: 32)
    folder = Path(llama.tokenizer.name_or_path)
    assert transformers_engine.TransformersEngine(folder, device="cpu", threads=1).limit == 32


def test_a_model_that_cannot_be_run_is_refused(engine_of, monkeypatch):
    from montessori.generate.reading import choose_way

    model = engine_of("mixtral").model
    monkeypatch.setattr(model, "forward", lambda **_: {}["no such kernel"])
    with pytest.raises(MontessoriError, match="cannot read a text: KeyError: 'no such kernel'"):
        choose_way(model, list(range(20)))
