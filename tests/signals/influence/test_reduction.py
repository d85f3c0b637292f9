"""The compiled reduction gives the numbers of the plain one.

What would break: `machine.compile`, a setting of speed, changes scores.
"""

import shutil

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from montessori.errors import MontessoriError
from montessori.signals.influence import reduction
from montessori.signals.influence.reduction import _compiled_share, sum_share
from montessori.train.adamw import Step


@pytest.fixture(autouse=True)
def _fresh():
    """No kernel of an earlier test."""
    _compiled_share.cache_clear()
    yield
    _compiled_share.cache_clear()


def inputs(rows: int, elements: int, groups: int, dtype: torch.dtype):
    """A step, the momentum's step, gradients and reference gradients, of plausible sizes."""
    generator = torch.Generator().manual_seed(elements)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    step = Step(1e-3 * draw(elements), 1e-6 * draw(elements) ** 2, 0.11, 0.02, 1e-8)
    rest = step.update(torch.zeros(elements, dtype=dtype))
    return step, rest, 1e-3 * draw(rows, elements), draw(groups, elements)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler for torch.compile")
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.float64, 1e-12), (torch.bfloat16, 2e-2)],
    ids=["fp32", "fp64", "bf16"],
)
def test_compiled_equals_plain(dtype, tolerance):
    for rows, elements, groups in ((1, 700, 1), (5, 64, 3), (16, 5000, 2)):
        step, rest, gradient, reference = inputs(rows, elements, groups, dtype)
        plain = sum_share(step, rest, gradient.clone(), reference).double()
        fused = _compiled_share()(step, rest, gradient, reference).double()
        assert fused.shape == (rows, groups)
        assert torch.allclose(fused, plain, rtol=0, atol=tolerance * plain.abs().max().item())


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    def cannot(*args):
        raise TorchDynamoException("No working C++ compiler found")

    monkeypatch.setattr(reduction.torch, "compile", lambda function, dynamic: cannot)
    with pytest.raises(MontessoriError, match="cannot compile here") as error:
        _compiled_share()(*inputs(1, 8, 1, torch.float32))
    assert "machine.compile: false" in error.value.next
