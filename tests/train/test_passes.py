"""How many rows of a training step share a pass.

What would break: a step that does not fit memory ends the training, or a model that fits is
trained in more passes than it needs, with other bits than before.
"""

from dataclasses import replace

import pytest

from montessori.errors import MontessoriError
from montessori.models.weights import load_model
from montessori.train import memory, passes


@pytest.fixture(scope="module")
def model(student):
    return load_model(student)


def test_a_small_model_has_one_pass(model, machine):
    assert passes.rows_of_pass(32, 512, model, machine) == 32


@pytest.mark.parametrize(("tokens", "rows"), [(100, 12), (101, 6), (401, 2), (1200, 1), (9999, 1)])
def test_the_most_rows_that_divide_a_step_and_fit(monkeypatch, model, machine, tokens, rows):
    weights = sum(value.nbytes for value in model.parameters())
    monkeypatch.setattr(passes, "CPU_BYTES", 1200 * memory.bytes_of_token(model) - weights)
    assert passes.rows_of_pass(12, tokens, model, machine) == rows


def test_a_checkpointed_token_needs_less(model):
    assert memory.bytes_of_token(model, checkpointed=True) < memory.bytes_of_token(model)


def test_a_number_that_does_not_divide_the_step_is_refused(model, machine):
    asked = replace(machine, training_rows=5)
    with pytest.raises(MontessoriError) as error:
        passes.rows_of_pass(12, 100, model, asked)
    assert "divides 12" in error.value.expected
    assert "4 or 6" in error.value.next


def test_a_larger_number_than_the_step_is_the_step(model, machine):
    assert passes.rows_of_pass(12, 100, model, replace(machine, training_rows=64)) == 12
