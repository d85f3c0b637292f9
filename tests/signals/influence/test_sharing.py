"""Rows share a backward pass only where each then scores as by itself; otherwise it is said.

What would break: parameters are left out of influence in silence (adapters on experts), or a model
whose rows cannot be separated ends the stage in a traceback.
"""

import logging

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, OPTConfig

from montessori.models.adapters import AdapterParams, add_adapters
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.signals.influence.per_row import PerRow
from montessori.train.adamw import AdamWState, trained_parameters
from montessori.train.loss import Row

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 40}
LLAMA = LlamaConfig(**SMALL, intermediate_size=48, num_key_value_heads=2)
MIXTRAL = MixtralConfig(
    **SMALL, intermediate_size=24, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2
)
OPT = OPTConfig(**SMALL, ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=64)
GROUPS, RATE = [[0, 1], [2]], 1e-5


def model_of(config):
    """A model in fp64 whose adapters are all different from zero."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    if hasattr(config, "num_local_experts"):
        model.set_experts_implementation("eager")
    model = add_adapters(model, AdapterParams(rank=2, alpha=4.0), seed=0).double().eval()
    with torch.no_grad():
        for value in trained_parameters(model).values():
            value += 0.1 * torch.randn_like(value)
    return model


def rows_of(lengths):
    generator = torch.Generator().manual_seed(len(lengths))
    rows = []
    for length in lengths:
        ids = torch.randint(3, 40, (length,), generator=generator).tolist()
        rows.append(Row(ids, [-100] * 2 + ids[2:]))
    return rows


ROWS, REFERENCES = rows_of([9, 4, 7, 9]), rows_of([8, 6, 9])


def state_of(model):
    generator = torch.Generator().manual_seed(1)
    draws = {
        name: torch.randn(value.shape, generator=generator).double()
        for name, value in trained_parameters(model).items()
    }
    return AdamWState(
        {name: 1e-3 * draw for name, draw in draws.items()},
        {name: 1e-6 + 1e-5 * draw**2 for name, draw in draws.items()},
        12,
        (0.9, 0.999),
        1e-8,
        0.0,
        RATE,
    )


def engine_of(model, batch=0, clip=0.0):
    gradients = reference_gradients(model, REFERENCES, GROUPS, 0)
    return FirstOrder(model, state_of(model), RATE, gradients, 0, clip, batch)


@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize(
    ("config", "reason"), [(MIXTRAL, "without a call"), (OPT, "whose layer reads")]
)
def test_rows_that_cannot_be_separated_go_one_by_one(config, reason, clip, caplog):
    model = model_of(config)
    engine, alone = engine_of(model, clip=clip), engine_of(model, batch=1, clip=clip)
    with caplog.at_level(logging.WARNING):
        found = engine.score_rows(ROWS)
    assert reason in engine.alone
    assert reason in caplog.text
    assert engine.batch == 1
    assert torch.equal(found, alone.score_rows(ROWS))
    if not clip:
        exact = ExactStep(model, state_of(model), RATE, REFERENCES, GROUPS, 0).score_rows(ROWS)
        assert torch.allclose(found, exact, rtol=0.0, atol=1e-2 * exact.abs().max())
    groups = engine_of(model, clip=clip).score_group(ROWS[:3])  # falls back by itself too
    assert torch.equal(groups, alone.score_group(ROWS[:3]))


@pytest.mark.parametrize("call", ["score_rows", "score_group"])
def test_a_layer_that_appears_later_still_stops_the_sharing(call):
    """Only a later batch may reach it, behind the check of the first two rows."""
    model = model_of(LLAMA)
    engine, alone = engine_of(model), engine_of(model, batch=1)
    score, expected = getattr(engine, call), getattr(alone, call)(ROWS)
    assert torch.allclose(score(ROWS), expected, rtol=1e-9)
    assert not engine.alone
    layer = model.base_model.model.model.layers[1].mlp.up_proj
    matrices = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    layer.forward = lambda x: layer.base_layer(x) + x @ (matrices[1] @ matrices[0]).T * 2.0
    assert torch.allclose(score(ROWS), expected, rtol=1e-9)
    assert "up_proj.lora_A" in engine.alone


@pytest.mark.parametrize("call", ["score_rows", "score_group"])
def test_two_rows_are_scored_both_ways_at_the_start(call, monkeypatch):
    """Whatever makes shared passes differ, also what nobody thought of."""
    model, plain = model_of(LLAMA), PerRow.give_product

    def loses_some(self, weight, outputs, inputs):
        plain(self, weight, 0.8 * outputs, inputs)

    expected = getattr(engine_of(model, batch=1), call)(ROWS)
    monkeypatch.setattr(PerRow, "give_product", loses_some)
    engine = engine_of(model)
    assert torch.equal(getattr(engine, call)(ROWS), expected)
    assert "score otherwise" in engine.alone
