"""The estimate against the exact step: by hand, in fp64, and with what must not matter.

What would break: influence is not the fall of the reference loss by one AdamW step, so rounds train
on the wrong preference.
"""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from montessori.models import chat
from montessori.models.weights import load_model
from montessori.signals.influence import reduction
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.train.adamw import AdamWState, next_step
from montessori.train.loss import Row, tokenize_rows
from tests.tiny_rows import row

RATE = 1e-6  # larger: second-order error; smaller: Llama's norms round in fp32


class TwoWeights(torch.nn.Module):
    """A language model of two tokens whose logits are its two weights everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([0.3, -0.2], dtype=torch.float64))

    @property
    def device(self) -> torch.device:
        return self.w.device

    @property
    def dtype(self) -> torch.dtype:
        return self.w.dtype

    def get_input_embeddings(self) -> SimpleNamespace:
        return SimpleNamespace(weight=self.w)  # one entry a token

    def get_output_embeddings(self) -> None:
        return None

    def forward(self, input_ids, attention_mask, use_cache):
        return SimpleNamespace(logits=self.w.expand(*input_ids.shape, 2))


def by_hand(target: int, gradient_scale: float = 1.0) -> float:
    """-grad L_ref . (delta(x) - delta(0)) for a row with `target`, a reference with token 1."""
    p = 1 / (1 + math.exp(-0.5))  # probability of token 0
    row_gradient = [gradient_scale * g for g in ((p - 1, 1 - p) if target == 0 else (p, -p))]
    reference = (p, -p)  # softmax minus the one-hot of token 1
    total = 0.0
    for g, r, m, v in zip(row_gradient, reference, (0.5, -0.25), (0.04, 0.01), strict=True):
        steps = []
        for gradient in (g, 0.0):
            first = (0.9 * m + 0.1 * gradient) / (1 - 0.9**3)
            second = (0.999 * v + 0.001 * gradient**2) / (1 - 0.999**3)
            steps.append(-RATE * first / (math.sqrt(second) + 1e-8))
        total -= r * (steps[0] - steps[1])
    return total


def two_state() -> AdamWState:
    moments = torch.tensor([[0.5, -0.25], [0.04, 0.01]], dtype=torch.float64)
    return AdamWState({"w": moments[0]}, {"w": moments[1]}, 2, (0.9, 0.999), 1e-8, 0.0, RATE)


@pytest.mark.parametrize("target", [0, 1])
def test_two_weights_by_hand(target):
    model, reference = TwoWeights(), Row([0, 1, 1], [-100, 1, 1])
    gradients = reference_gradients(model, [reference], [[0]], pad=0)
    engine = FirstOrder(model, two_state(), RATE, gradients, pad=0)
    assert engine.alone  # its weights are in no layer that batches
    estimate = engine.score_rows([Row([0, target], [-100, target])]).item()
    assert estimate == pytest.approx(by_hand(target), rel=1e-9)
    assert (estimate > 0) == (target == 1)  # learning the reference's token helps
    exact = ExactStep(model, two_state(), RATE, [reference], [[0]], 0)
    fall = exact.score_rows([Row([0, target], [-100, target])]).item()
    assert fall == pytest.approx(by_hand(target), rel=1e-4)


@pytest.fixture(scope="module")
def world(student):
    """A tiny fp64 Llama with random moments, probe rows, and references of two lengths."""
    model = load_model(student).double()
    generator = torch.Generator().manual_seed(0)
    draw = {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64)
        for name, value in model.named_parameters()
    }
    state = AdamWState(
        {name: 1e-3 * value for name, value in draw.items()},
        {name: 1e-6 + 1e-5 * value**2 for name, value in draw.items()},
        step=12,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.01,
        learning_rate=RATE,
    )
    tokenizer = chat.load_tokenizer(student)
    dialogues = [row(i)["messages"] for i in range(16)]
    rows = tokenize_rows(tokenizer, dialogues, 128)
    return model, state, rows[:10], rows[10:]


def engine_of(world, groups=None, reference_batch=32, **options) -> FirstOrder:
    model, state, _, references = world
    groups = groups or [list(range(len(references)))]
    gradients = reference_gradients(model, references, groups, 0, reference_batch)
    return FirstOrder(model, state, RATE, gradients, 0, **options)


def estimates(world, groups=None, reference_batch=32, **options) -> torch.Tensor:
    """Centred estimates, (rows, groups), and the neutral score of each group as last row."""
    engine = engine_of(world, groups, reference_batch, **options)
    return torch.cat([engine.score_rows(world[2]), engine.neutral[None]])


def oracle(world, groups=None, **options) -> ExactStep:
    model, state, _, references = world
    groups = groups or [list(range(len(references)))]
    return ExactStep(model, state, RATE, references, groups, 0, **options)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_first_order_is_the_exact_step_for_a_small_rate(world, batch, clip):
    model, _, rows, _ = world
    assert model.config.tie_word_embeddings  # a tied weight gets one gradient from two uses
    before = [parameter.detach().clone() for parameter in model.parameters()]
    exact = oracle(world, max_grad_norm=clip)
    falls = torch.cat([exact.score_rows(rows), exact.neutral[None]])
    found = estimates(world, batch=batch, max_grad_norm=clip)
    assert torch.allclose(found, falls, rtol=1e-3, atol=1e-3 * falls.abs().max())
    assert (found[:-1].sign() == falls[:-1].sign()).all()
    after = list(model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))  # weights are back


def test_clipping_is_something_else(world):
    plain, clipped = estimates(world), estimates(world, max_grad_norm=0.5)
    assert (plain - clipped)[:-1].abs().max() > 0.01 * plain[:-1].abs().max()


@pytest.mark.parametrize("batch", [1, 8])
def test_a_group_is_one_step_on_the_mean_of_its_rows(world, batch):
    rows = world[2][:4]
    found, true = engine_of(world, batch=batch).score_group(rows), oracle(world).score_group(rows)
    assert found.shape == (5, 1)
    assert torch.allclose(found, true, rtol=1e-3, atol=3e-4 * true.abs().max())
    alone = engine_of(world).score_group(rows[:1])
    assert alone[1].item() == 0  # without its only row the group's step is the momentum's
    assert alone[0].item() == pytest.approx(engine_of(world).score_rows(rows[:1]).item(), rel=1e-9)


def test_freezing_the_second_moment_is_something_else(world, monkeypatch):
    """A row's own g^2 is part of the step: without it the estimate is far off."""

    def freeze(*arguments):
        return replace(next_step(*arguments), gain_sq=0.0)

    true = estimates(world)
    monkeypatch.setattr(reduction, "next_step", freeze)
    frozen = estimates(world)
    assert (true - frozen).abs().max() > 0.01 * true.abs().max()


def test_the_reference_batch_does_not_matter(world):
    one, six = (estimates(world, reference_batch=batch) for batch in (1, 6))
    assert torch.allclose(one, six, rtol=1e-9)


def test_groups_add_up_to_the_whole(world):
    parts = estimates(world, [[0, 1], [2, 3, 4, 5]])
    whole = estimates(world)[:, 0]
    assert torch.allclose(parts @ torch.tensor([2 / 6, 4 / 6]).double(), whole, rtol=1e-9)


def test_no_gradient_is_left_behind(world):
    estimates(world)
    assert all(parameter.grad is None for parameter in world[0].parameters())
