"""Gradients per row of a batch are those of a backward pass for each row.

What would break: rows that share a backward pass get each other's gradients.
"""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Qwen2Config,
)

from montessori.models.adapters import AdapterParams, add_adapters
from montessori.models.weights import enable_checkpointing
from montessori.signals.influence.per_row import PerRow, UnsupportedLayer
from montessori.train.loss import Row, sum_mean_losses

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 40}
LLAMA = LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=False)
TIED = LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2, tie_word_embeddings=True)
QWEN = Qwen2Config(**SMALL, intermediate_size=48, num_key_value_heads=2)
NEOX = GPTNeoXConfig(**SMALL, intermediate_size=48)
CONFIGS = {"llama": LLAMA, "tied": TIED, "qwen2": QWEN, "neox": NEOX}


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


def together(model, rows, sparse=False):
    """The same from one backward pass; sparse gradients are spread out."""
    found = {}
    shapes = {name: value.shape for name, value in model.named_parameters()}

    def add(name, gradient):
        assert name not in found
        found[name] = gradient

    def add_sparse(name, row, index, gradient):
        assert name not in found
        found[name] = gradient.new_zeros(len(rows), *shapes[name])
        found[name][row, index] = gradient

    with PerRow(model).give_gradients(len(rows), add, add_sparse if sparse else None):
        sum_mean_losses(model, rows, 0).backward()
    return found


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "config", [LLAMA, TIED, QWEN, NEOX], ids=["llama", "tied", "qwen2", "neox"]
)
def test_equal_to_a_pass_for_each_row(config, sparse):
    model, rows = model_of(config), rows_of([9, 4, 7, 9])
    expected, found = one_by_one(model, rows), together(model, rows, sparse)
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.allclose(found[name], expected[name], rtol=1e-9, atol=1e-12), name


def test_checkpointed_layers_give_the_same():
    model, rows = model_of(LLAMA), rows_of([9, 4, 7])
    expected = together(model, rows)
    found = together(enable_checkpointing(model), rows)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_adapters_alone_are_trained():
    adapters = AdapterParams(rank=2, alpha=4.0)
    model = add_adapters(model_of(LLAMA), adapters, seed=0).double().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value += 0.1 * torch.randn_like(value)  # zero at first
    rows = rows_of([9, 4, 7])
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
