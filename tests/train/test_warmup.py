"""The warm-up of a student: rows, moments by formula, bytes, adapters, refusals.

What would break: influence starts from a student or moments that are not those of the rows it
names.
"""

from dataclasses import replace

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

from montessori.artifacts.files import read_json, read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import AdapterParams, load_student
from montessori.models.weights import enable_checkpointing, load_model
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.train import warmup
from montessori.train.adamw import read_state
from montessori.train.loss import IGNORED, Row, row_losses, tokenize_rows
from montessori.train.settings import WarmupParams
from montessori.train.warmup import first_prompts, train_rows, warm_up
from tests.tiny_rows import probe_frame

SETTINGS = WarmupParams(
    rows=10,
    epochs=2,
    batch=4,
    learning_rate=1e-3,
    warmup=0.2,
    max_grad_norm=1.0,
    max_length=128,
)


def test_rows_are_cut_at_a_prompt_boundary():
    kept = probe_frame(4, 3).filter(pl.col("dropped").is_null())  # prompts of 2, 3, 3, 3 rows
    assert first_prompts(kept, 7)["prompt_id"].unique().sort().to_list() == ["p000", "p001"]
    assert first_prompts(kept, 8).height == 8
    assert first_prompts(kept, 1).height == 0


def test_warm_up_learns_and_keeps_the_optimizer(tmp_path, student, probe, machine):
    metrics = warm_up(student, probe, tmp_path / "warm", SETTINGS, 0, machine)
    assert metrics["rows"] == 8
    assert metrics["rows_left"] == 27
    assert metrics["steps"] == 4
    assert metrics["loss_last"] < metrics["loss_first"]
    assert "rows_cut" not in metrics
    facts = read_json(tmp_path / "warm" / "optimizer.json")
    assert facts["step"] == 4
    assert facts["learning_rate"] == 1e-3
    assert len(facts["rows"]) == 8
    state = read_state(tmp_path / "warm", load_model(tmp_path / "warm"))
    assert all(value.dtype == torch.float32 for value in state.exp_avg.values())


def test_rows_that_lose_the_end_of_their_answer_are_counted(tmp_path, student, probe, machine):
    tokenizer = chat.load_tokenizer(student)
    kept = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    first = first_prompts(kept, SETTINGS.rows)["messages"].to_list()
    lengths = [len(row.ids) for row in tokenize_rows(tokenizer, first, 128)]
    short = replace(SETTINGS, max_length=max(lengths) - 1, epochs=1)
    metrics = warm_up(student, probe, tmp_path / "short", short, 0, machine)
    assert metrics["rows_cut"] == lengths.count(max(lengths)) > 0


def test_moments_are_those_of_adamw_by_formula(tmp_path, student, probe, machine):
    """One step from zero moments: m = (1 - b1) g, v = (1 - b2) g^2, g the clipped gradient."""
    one = WarmupParams(**{**SETTINGS.__dict__, "epochs": 1, "batch": 8})
    warm_up(student, probe, tmp_path / "warm", one, 0, machine)
    model = load_model(student)
    tokenizer = chat.load_tokenizer(student)
    kept = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    rows = tokenize_rows(tokenizer, first_prompts(kept, 10)["messages"].to_list(), 128)
    sums, counts = row_losses(model, rows, tokenizer.pad_token_id)
    (sums.sum() / counts.sum()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    state = read_state(tmp_path / "warm", model)
    for name, parameter in model.named_parameters():
        assert torch.allclose(state.exp_avg[name], 0.1 * parameter.grad, atol=1e-8, rtol=1e-4)
        assert torch.allclose(
            state.exp_avg_sq[name], 0.001 * parameter.grad**2, atol=1e-12, rtol=1e-3
        )


def test_rows_that_do_not_fit_together_add_up(tmp_path, student, probe, machine, monkeypatch):
    def state_of(name, **options):
        warm_up(student, probe, tmp_path / name, SETTINGS, 0, replace(machine, **options))
        return read_state(tmp_path / name, load_model(tmp_path / name))

    def measure(model, rows, pad):
        tokens.append(len(rows) * max(len(row.ids) for row in rows) if len(rows) > 1 else 0)
        return row_losses(model, rows, pad)

    def enable(model):
        enabled.append(enable_checkpointing(model))

    tokens, enabled = [], []
    monkeypatch.setattr(warmup, "row_losses", measure)
    monkeypatch.setattr(warmup, "enable_checkpointing", enable)
    whole = state_of("whole")
    assert max(tokens) > 40
    tokens.clear()
    monkeypatch.setattr(warmup, "affordable_tokens", lambda model, reserved: 40)
    parts, recomputed = state_of("parts"), state_of("again", gradient_checkpointing="on")
    assert max(tokens) <= 40
    assert len(enabled) == 1
    for found in (parts, recomputed):
        assert found.step == whole.step
        for name, moment in whole.exp_avg.items():
            assert torch.allclose(found.exp_avg[name], moment, rtol=1e-3, atol=1e-8), name


def test_equal_seeds_give_equal_bytes(tmp_path, student, probe, machine):
    for name in ("one", "two"):
        warm_up(student, probe, tmp_path / name, SETTINGS, 5, machine)
    for file in ("model.safetensors", "moments.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_rows_without_a_response_are_an_error(tmp_path, student, probe, machine):
    with pytest.raises(MontessoriError, match="none of the 8 rows has a response") as error:
        warm_up(student, probe, tmp_path / "warm", replace(SETTINGS, max_length=5), 0, machine)
    assert "warmup.max_length" in error.value.next
    assert not (tmp_path / "warm").exists()


def tiny_rows(n):
    return [Row([5, 6, 7 + i], [IGNORED, 6, 7 + i]) for i in range(n)]


def tiny_model(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


def test_a_model_that_draws_in_training_draws_the_same_again():
    """Here a model with dropout; the process's own random state is another one each time."""
    config = GPT2Config(vocab_size=32, n_embd=16, n_layer=1, n_head=2, resid_pdrop=0.5)
    losses = []
    for state in (1, 2):
        model = tiny_model(config)
        torch.manual_seed(state)
        losses.append(train_rows(model, tiny_rows(8), 0, SETTINGS, seed=3)[0])
    assert losses[0] == losses[1]


def test_parameters_without_a_gradient_have_moments_of_zero_and_their_own_steps():
    """As the image tower of a model that only reads text, or an expert that is rarely chosen."""
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    model = tiny_model(config)
    model.tower = torch.nn.Linear(2, 3)
    mlp, calls = model.model.layers[0].mlp, []

    def rarely(x):
        calls.append(x)
        return plain(x) if len(calls) == 1 else 0.0 * x

    plain, mlp.forward = mlp.forward, rarely
    _, state = train_rows(model, tiny_rows(8), 0, replace(SETTINGS, batch=2), seed=3)
    assert state.step == 8
    expert = {name: 1 for name, _ in model.named_parameters() if ".mlp." in name}
    assert state.own_steps == {"tower.weight": 0, "tower.bias": 0, **expert}
    assert state.exp_avg["tower.weight"].shape == (3, 2)
    assert not state.exp_avg["tower.weight"].any()
    assert not state.exp_avg_sq["tower.bias"].any()
    del mlp.forward
    rows, references = tiny_rows(6), tiny_rows(4)
    model = model.double().eval()
    first = {name: value.double() for name, value in state.exp_avg.items()}
    second = {name: value.double() for name, value in state.exp_avg_sq.items()}
    state = replace(state, exp_avg=first, exp_avg_sq=second)
    gradients = reference_gradients(model, references, [[0, 1, 2, 3]], 0)
    found = FirstOrder(model, state, 1e-6, gradients, 0, batch=4).score_rows(rows)
    exact = ExactStep(model, state, 1e-6, references, [[0, 1, 2, 3]], 0).score_rows(rows)
    assert torch.allclose(found, exact, rtol=1e-2, atol=1e-2 * exact.abs().max())


@pytest.mark.parametrize("rows", [1, 35, 1000])
def test_a_probe_without_rows_for_both_is_an_error(tmp_path, student, probe, machine, rows):
    settings = WarmupParams(**{**SETTINGS.__dict__, "rows": rows})
    with pytest.raises(MontessoriError, match="kept rows") as error:
        warm_up(student, probe, tmp_path / "warm", settings, 0, machine)
    assert "warmup.rows" in error.value.where
    assert not (tmp_path / "warm").exists()


def test_adapters_are_trained_beside_the_untouched_weights(tmp_path, student, probe, machine):
    adapters, settings = (
        AdapterParams(rank=2, alpha=4.0),
        replace(SETTINGS, learning_rate=1e-2, epochs=8),
    )
    metrics = warm_up(student, probe, tmp_path / "warm", settings, 0, machine, adapter=adapters)
    assert metrics["loss_last"] < metrics["loss_first"]
    name = "model.safetensors"
    assert (tmp_path / "warm" / name).read_bytes() == (student / name).read_bytes()
    model = load_student(tmp_path / "warm")
    state = read_state(tmp_path / "warm", model)
    assert all("lora_" in name for name in state.exp_avg)
    moved = [value for name, value in model.named_parameters() if "lora_B" in name]
    assert all(value.abs().max() > 0 for value in moved)
    with torch.no_grad():
        ids = torch.tensor([[1, 2, 3]])
        assert not torch.allclose(model(ids).logits, load_model(student)(ids).logits)
