"""Gradients per row of a batch are those of a backward pass for each row.

What would break: rows that share a backward pass get each other's gradients, or a parameter is
left out of them without a word.
"""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from montessori.models.adapters import AdapterParams, add_adapters
from montessori.models.weights import enable_checkpointing
from montessori.signals.influence.per_row import PerRow, UnsupportedLayer, _is_norm
from montessori.train.loss import Row, sum_mean_losses

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 40}
LLAMA = LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=False)
TIED = LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=True)
QWEN = Qwen2Config(**SMALL, intermediate_size=48, num_key_value_heads=2)
NEOX = GPTNeoXConfig(**SMALL, intermediate_size=48)
# Its norms over each head read (rows, tokens, heads, width).
QWEN3 = Qwen3Config(**SMALL, intermediate_size=48, num_key_value_heads=2, head_dim=8)
OPT = OPTConfig(**SMALL, ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=64)


def model_of(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).double().eval()
    with torch.no_grad():
        for value in model.parameters():
            value += 0.1 * torch.randn_like(value)  # norms are one at first
    return model


def rows_of(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for length in lengths:
        ids = torch.randint(1, 40, (length,), generator=generator).tolist()
        rows.append(Row(ids, [-100] * 2 + ids[2:]))
    return rows


def one_by_one(model, rows):
    """Gradients by name, (rows, *shape), from a backward pass for each row."""
    found = {}
    for i, row in enumerate(rows):
        model.zero_grad(set_to_none=True)
        sum_mean_losses(model, [row], 0).backward()
        for name, value in model.named_parameters():
            if value.requires_grad:
                table = found.setdefault(name, value.new_zeros(len(rows), *value.shape))
                if value.grad is not None:
                    table[i] = value.grad
    model.zero_grad(set_to_none=True)
    return found


def together(model, rows):
    """The same from one backward pass, each parameter as one tile."""
    found = {}

    def add(name, gradient):
        assert name not in found
        found[name] = gradient.make_tile(0, gradient.shape[0])

    PerRow(model).separate_rows(lambda: sum_mean_losses(model, rows, 0), len(rows), add)
    return found


@pytest.mark.parametrize(
    "config", [LLAMA, TIED, QWEN, NEOX, QWEN3], ids=["llama", "tied", "qwen2", "neox", "qwen3"]
)
def test_equal_to_a_pass_for_each_row(config):
    model, rows = model_of(config), rows_of([9, 4, 7, 9])
    expected, found = one_by_one(model, rows), together(model, rows)
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-12), name


def test_checkpointed_layers_give_the_same():
    model, rows = model_of(LLAMA), rows_of([9, 4, 7])
    expected = together(model, rows)
    found = together(enable_checkpointing(model), rows)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_block_that_runs_twice_is_given_once(checkpointed):
    model, rows = model_of(LLAMA), rows_of([9, 4, 7])
    model.model.layers[1] = model.model.layers[0]  # as the shared blocks of Zamba2
    expected = one_by_one(model, rows)
    found = together(enable_checkpointing(model) if checkpointed else model, rows)
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-12), name


def test_a_use_that_the_loss_does_not_depend_on_adds_nothing():
    model, rows = model_of(LLAMA), rows_of([9, 4, 7])
    expected, plain = one_by_one(model, rows), model.forward

    def forward(*args, **options):
        model.model.layers[0].mlp(torch.ones(3, 5, 32).double())  # calls it, and drops the result
        return plain(*args, **options)

    model.forward = forward
    found = together(model, rows)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-12) for name in found)


def adapted(config):
    """The model with adapters whose second matrices, zero at first, are not."""
    adapters = AdapterParams(rank=2, alpha=4.0)
    model = add_adapters(model_of(config), adapters, seed=0).double().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value += 0.1 * torch.randn_like(value)
    return model


def test_adapters_alone_are_trained():
    model, rows = adapted(LLAMA), rows_of([9, 4, 7])
    expected, found = one_by_one(model, rows), together(model, rows)
    assert found.keys() == expected.keys()
    assert all("lora" in name for name in found)
    assert all(torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-12) for name in found)


def test_the_model_is_as_before():
    model, rows = model_of(LLAMA), rows_of([9, 4])
    with torch.no_grad():
        before = sum_mean_losses(model, rows, 0)
    together(model, rows)
    assert all(value.requires_grad and value.grad is None for value in model.parameters())
    assert torch.equal(sum_mean_losses(model, rows, 0), before)
    assert one_by_one(model, rows)


def test_a_layer_that_cannot_be_told_apart_is_named():
    config = GPT2Config(n_embd=32, n_layer=1, n_head=4, vocab_size=40)
    with pytest.raises(UnsupportedLayer, match="Conv1D"):
        PerRow(model_of(config))


def test_a_weight_that_is_used_without_a_call_of_its_layer_is_named():
    """Adapters on experts are such: their matrices are multiplied, never called."""
    model, rows = adapted(LLAMA), rows_of([9, 4])
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    first, second = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    layer.forward = lambda x: layer.base_layer(x) + x @ (second @ first).T * 2.0
    with pytest.raises(UnsupportedLayer, match=r"up_proj.lora_A.*without a call"):
        together(model, rows)
    assert all(value.grad is None for value in model.parameters())
    assert "forward" not in layer.lora_A["default"].__dict__


def test_a_layer_that_reads_the_tokens_of_all_rows_as_one_list_is_named():
    with pytest.raises(UnsupportedLayer, match=r"fc1.*reads \(18, 32\)"):
        together(adapted(OPT), rows_of([9, 4]))


@pytest.mark.parametrize(
    ("view", "shape"),
    [(lambda x: x.mean(dim=1), r"\(2, 32\)"), (lambda x: x.flatten(0, 1)[None], r"\(1, 18, 32\)")],
    ids=["one vector of each row", "the rows as one"],
)
def test_a_layer_that_reads_another_shape_than_rows_of_tokens_is_named(view, shape):
    model = adapted(LLAMA)
    layer = model.base_model.model.model.layers[0].mlp.up_proj
    first, second = layer.lora_A["default"], layer.lora_B["default"]
    layer.forward = lambda x: layer.base_layer(x) + second(first(view(x))).sum()
    with pytest.raises(UnsupportedLayer, match=rf"up_proj.lora_A.*reads {shape}"):
        together(model, rows_of([9, 4]))


def test_a_norm_has_its_weight_as_a_factor():
    llama, gemma = LlamaRMSNorm(8), GemmaRMSNorm(8)
    torch.nn.init.ones_(gemma.weight)  # (1 + w) n = w (2 n) at this weight, but not elsewhere
    assert _is_norm(llama)
    assert _is_norm(torch.nn.LayerNorm(8))
    assert not _is_norm(gemma)
