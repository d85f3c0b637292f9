"""AdamW's state and its next step in formulas, against torch.

What would break: influence starts from moments of other weights, or computes another step than
training would take.
"""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.models.weights import load_model
from montessori.train.adamw import (
    MOMENTS,
    OPTIMIZER,
    AdamWState,
    next_step,
    optimizer_state,
    read_state,
    write_state,
)

STATE = AdamWState(
    exp_avg={"w": torch.tensor([0.5, -0.25])},
    exp_avg_sq={"w": torch.tensor([0.04, 0.01])},
    step=2,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    learning_rate=0.1,
)


def test_the_step_by_hand():
    """Step 3: m' = 0.9 m + 0.1 g, v' = 0.999 v + 0.001 g^2, corrected by 1 - beta^3."""
    update = next_step(STATE, "w", torch.float64).update(torch.tensor([2.0, 0.0]).double())
    first = (0.65 / 0.271) / (math.sqrt(0.04396 / 0.002997001) + 1e-8)
    second = (-0.225 / 0.271) / (math.sqrt(0.00999 / 0.002997001) + 1e-8)
    assert update.tolist() == pytest.approx([first, second], rel=1e-6)


def test_the_step_is_that_of_torch():
    weight = torch.nn.Parameter(torch.tensor([1.0, -3.0], dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.0)
    optimizer.state[weight] = {
        "step": torch.tensor(2.0),
        "exp_avg": STATE.exp_avg["w"].double(),
        "exp_avg_sq": STATE.exp_avg_sq["w"].double(),
    }
    gradient = torch.tensor([0.3, -2.0], dtype=torch.float64)
    expected = torch.tensor([1.0, -3.0]).double() - 0.1 * next_step(
        STATE, "w", torch.float64
    ).update(gradient)
    weight.grad = gradient
    optimizer.step()
    assert torch.allclose(weight, expected, rtol=1e-12)


@pytest.fixture
def model(student):
    return load_model(student)


@pytest.fixture
def folder(tmp_path, model):
    """A folder with the state of an optimizer after one step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    model.save_pretrained(tmp_path)
    write_state(tmp_path, optimizer_state(model, optimizer, ["a", "b"]))
    return tmp_path


def test_a_state_comes_back_as_written(folder, model):
    state = read_state(folder, model)
    assert (state.step, state.learning_rate, state.rows) == (1, 0.5, ("a", "b"))
    value = next(iter(state.exp_avg.values()))
    assert torch.allclose(value, torch.full_like(value, 0.1))


def test_steps_of_rarely_used_parameters_come_back(folder, model):
    state = read_state(folder, model)
    assert state.own_steps == {}
    assert "own_steps" not in read_json(folder / OPTIMIZER)
    name = next(iter(state.exp_avg))
    write_state(folder, replace(state, step=5, own_steps={name: 1}))
    found = read_state(folder, model)
    assert found.own_steps == {name: 1}
    assert next_step(found, name).gain == pytest.approx(0.1 / (1 - 0.9**2))
    other = list(state.exp_avg)[1]
    assert next_step(found, other).gain == pytest.approx(0.1 / (1 - 0.9**6))


def test_moments_of_another_model_are_an_error(folder, model):
    tensors = load_file(folder / MOMENTS)
    name = sorted(tensors)[0]
    save_file({**tensors, name: torch.zeros(3)}, folder / MOMENTS)
    with pytest.raises(MontessoriError, match="another model: 1 tensors differ") as error:
        read_state(folder, model)
    assert name in error.value.where
    save_file({k: v for k, v in tensors.items() if k != name}, folder / MOMENTS)
    with pytest.raises(MontessoriError, match="another model"):
        read_state(folder, model)


def test_a_missing_state_names_the_stage(tmp_path, model):
    with pytest.raises(MontessoriError, match="no optimizer moments") as error:
        read_state(tmp_path, model)
    assert "warmup" in error.value.next


def test_moments_beside_other_weights_are_an_error(folder, model):
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    model.save_pretrained(folder)
    with pytest.raises(MontessoriError, match="belong to other weights") as error:
        read_state(folder, model)
    assert "warmup" in error.value.next


def test_moments_come_in_the_format_of_the_model(folder, model):
    state = read_state(folder, model.to(torch.bfloat16))
    assert all(value.dtype == torch.bfloat16 for value in state.exp_avg.values())
