"""The compiled kernel gives the numbers of the plain form.

What would break: `machine.compile`, a setting of speed, changes scores.
"""

import logging
import shutil

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from montessori.errors import MontessoriError
from montessori.signals.influence import kernel, reduction
from montessori.signals.influence.reduction import Reduction, sum_share
from montessori.signals.influence.row_gradient import RowGradient
from montessori.train.adamw import AdamWState, next_step, step_factors

COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler for torch.compile")


@pytest.fixture(autouse=True)
def _fresh():
    """No kernel of an earlier test."""
    kernel.make_kernel.cache_clear()
    yield
    kernel.make_kernel.cache_clear()


def state_of(shape, dtype):
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(*shape, generator=draw, dtype=torch.float64)
    moments = (1e-3 * noise).to(dtype), (1e-6 + 1e-6 * noise**2).to(dtype)
    return AdamWState({"w": moments[0]}, {"w": moments[1]}, 7, (0.9, 0.98), 1e-8, 0.0, 1.0)


@COMPILER
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 2e-2)],
    ids=["fp32", "fp64", "bf16"],
)
def test_compiled_equals_plain(dtype, tolerance):
    fused = kernel.make_kernel()
    wide = torch.promote_types(dtype, torch.float32)
    for rows, elements, groups in ((1, 700, 1), (5, 64, 3), (16, 5000, 2)):
        state = state_of((elements,), dtype)
        gradient = 1e-3 * torch.randn(rows, elements).to(dtype)
        reference = torch.randn(groups, elements).to(dtype)
        step = next_step(state, "w", wide)
        rest = step.update(torch.zeros(elements, dtype=wide))
        plain = sum_share(step, rest, gradient, reference.to(wide)).double()
        moments = state.exp_avg["w"], state.exp_avg_sq["w"]
        found = fused(*moments, gradient, reference, step_factors(state, "w")).double()
        found -= (rest @ reference.to(wide).T).double()  # the kernel leaves the momentum's in
        assert found.shape == (rows, groups)
        assert torch.allclose(found, plain, rtol=0, atol=tolerance * plain.abs().max().item())


@COMPILER
def test_only_parameters_of_several_tiles_are_compiled(monkeypatch):
    shape = torch.Size([40, 30])
    state, parameter = state_of(shape, torch.float64), torch.zeros(shape, dtype=torch.float64)
    gradient = RowGradient(shape, 3, whole=1e-3 * torch.randn(3, *shape, dtype=torch.float64))
    references = {"w": torch.randn(2, shape.numel(), dtype=torch.float64)}

    def sums(compiled):
        found = Reduction(state, {"w": parameter}, references, compiled)
        found.start_sums(3)
        found.add("w", gradient)
        return found, found.sums

    one_tile, expected = sums(True)
    assert one_tile._kernel is None
    monkeypatch.setattr(reduction, "BLOCK", 100)
    monkeypatch.setitem(reduction.TILE, "cpu", 250)
    monkeypatch.setitem(reduction.KERNEL_TILE, "cpu", 300)
    plain, found = sums(False)
    assert plain._kernel is None
    assert torch.allclose(found, expected)
    fused, found = sums(None)
    assert fused._kernel is not None
    assert torch.allclose(found, expected)


def test_a_machine_without_a_compiler_is_told_so(monkeypatch, caplog):
    def cannot(*args):
        raise TorchDynamoException("No working C++ compiler found")

    monkeypatch.setattr(kernel.torch, "compile", lambda function, dynamic: cannot)
    with pytest.raises(MontessoriError, match="cannot compile here") as error:
        kernel.choose_kernel(True)
    assert "machine.compile: off" in error.value.next
    with caplog.at_level(logging.WARNING):
        assert kernel.choose_kernel(None) is None
    assert "No working C++ compiler" in caplog.text
    assert kernel.choose_kernel(False) is None
