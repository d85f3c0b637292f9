"""Influence by tiles of a weight is influence by whole weights, and holds no whole row gradient.

What would break: a model of real size needs more memory than its training, or scores depend on
where tiles are cut.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from montessori.signals.influence import reduction
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.signals.influence.row_gradient import (
    Factors,
    RowGradient,
    collect_vectors,
    cut_tiles,
)
from montessori.train import memory
from montessori.train.adamw import AdamWState
from montessori.train.loss import Row

RATE = 1e-6
GROUPS = [[0, 1], [2]]
SIZES = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 300}


def model_of(tied=True, dtype=torch.float64, **sizes):
    torch.manual_seed(0)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(**(SIZES | sizes), **heads, tie_word_embeddings=tied)
    return LlamaForCausalLM(config).to(dtype).eval()


def rows_of(lengths):
    draw = torch.Generator().manual_seed(1)
    ids = [torch.randint(1, 300, (length,), generator=draw).tolist() for length in lengths]
    return [Row(row, [-100, *row[1:]]) for row in ids]


def state_of(model):
    draw = torch.Generator().manual_seed(2)
    first, second = {}, {}
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=draw, dtype=torch.float64).to(value)
        first[name], second[name] = 1e-3 * noise, 1e-6 + 1e-5 * noise**2
    return AdamWState(first, second, 9, (0.9, 0.999), 1e-8, 0.01, RATE)


def scores(model, rows, **options):
    gradients = reference_gradients(model, rows[:3], GROUPS, 0)
    engine = FirstOrder(model, state_of(model), RATE, gradients, 0, **options)
    found = torch.cat([engine.score_rows(rows[3:]), engine.neutral[None]])
    assert not engine.alone or options.get("batch") == 1
    return found


@pytest.mark.parametrize("clip", [0.0, 0.3])
@pytest.mark.parametrize("tied", [True, False])
def test_where_tiles_are_cut_does_not_matter(tied, clip, monkeypatch):
    model, rows = model_of(tied), rows_of([8, 5, 9, 7, 12, 7, 3, 10])
    whole = scores(model, rows, max_grad_norm=clip)
    alone = scores(model, rows, max_grad_norm=clip, batch=1)
    monkeypatch.setattr(reduction, "BLOCK", 64)
    monkeypatch.setitem(reduction.TILE, "cpu", 500)  # ten vectors of the embedding, 48 wide
    tiled = scores(model, rows, max_grad_norm=clip)
    assert torch.allclose(whole, alone, rtol=1e-8, atol=0)
    assert torch.allclose(tiled, whole, rtol=1e-8, atol=0)


def test_groups_of_rows_by_tiles(monkeypatch):
    model, rows = model_of(), rows_of([8, 5, 9, 7, 12, 7])

    def groups():
        gradients = reference_gradients(model, rows[:3], GROUPS, 0)
        engine = FirstOrder(model, state_of(model), RATE, gradients, 0, max_grad_norm=0.3)
        return engine.score_group(rows[3:])

    whole = groups()
    monkeypatch.setattr(reduction, "BLOCK", 64)
    monkeypatch.setitem(reduction.TILE, "cpu", 500)
    assert torch.allclose(groups(), whole, rtol=1e-8, atol=0)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that an operation makes, views apart."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and not function.is_view:
            self.elements = max(self.elements, made.numel())
        return made


@pytest.mark.parametrize("tied", [True, False])
def test_no_rows_whole_gradient_is_in_memory(tied, monkeypatch):
    model = model_of(tied, torch.float32, hidden_size=64, intermediate_size=1024)
    rows = rows_of([8, 5, 9, 7, 12, 7, 3, 10])
    monkeypatch.setattr(reduction, "BLOCK", 2**10)
    monkeypatch.setitem(reduction.TILE, "cpu", 2**10)
    gradients = reference_gradients(model, rows[:3], [[0, 1, 2]], 0)
    engine = FirstOrder(model, state_of(model), RATE, gradients, 0)
    engine.score_rows(rows[3:5])  # two rows are tried at the start, also each by itself
    with Largest() as largest:
        engine.score_rows(rows[3:])
    assert not engine.alone
    matrix = 64 * 1024  # of one layer; the head is 64 x 300
    # Activations of five rows of twelve tokens are the largest thing made: 5 x 12 x 1024.
    assert 2**13 < largest.elements < matrix


def test_the_tile_of_a_weight_that_is_used_twice_is_the_sum():
    draw = torch.Generator().manual_seed(0)
    outputs, inputs = torch.randn(2, 5, 7, generator=draw), torch.randn(2, 5, 3, generator=draw)
    ids = torch.tensor([[1, 1, 6, 0, 2], [4, 6, 6, 6, 3]])
    values = torch.randn(2, 5, 3, generator=draw)
    head = RowGradient(torch.Size([7, 3]), 2, factors=(Factors(outputs, inputs),))
    body = RowGradient(torch.Size([7, 3]), 2, vectors=(collect_vectors(ids, values, 7),))
    expected = outputs.transpose(1, 2) @ inputs
    for row in range(2):
        for place in range(5):
            expected[row, ids[row, place]] += values[row, place]
    joined = head.join(body)
    tiles = [joined.make_tile(start, stop) for start, stop in [(0, 2), (2, 3), (3, 7)]]
    assert torch.allclose(torch.cat(tiles, dim=1), expected)
    assert body.is_sparse
    assert not joined.is_sparse


def test_squared_norms_without_the_product():
    draw = torch.Generator().manual_seed(0)
    factors = Factors(torch.randn(3, 4, 50, generator=draw), torch.randn(3, 4, 60, generator=draw))
    gradient = RowGradient(torch.Size([50, 60]), 3, factors=(factors,))
    expected = gradient.make_tile(0, 50).double().square().sum(dim=(1, 2))
    with Largest() as largest:
        found = gradient.sum_squares(10**9)
    assert torch.allclose(found, expected, rtol=1e-5)
    assert largest.elements <= 3 * 4 * 60


def test_tiles_cover_the_first_axis():
    assert cut_tiles(torch.Size([10, 6]), 60) == [(0, 10)]
    assert cut_tiles(torch.Size([10, 6]), 25) == [(0, 4), (4, 8), (8, 10)]
    assert cut_tiles(torch.Size([3, 600]), 25) == [(0, 1), (1, 2), (2, 3)]
    assert cut_tiles(torch.Size([100]), 30) == [(0, 30), (30, 60), (60, 90), (90, 100)]


def test_a_larger_vocabulary_leaves_room_for_fewer_tokens():
    small, large = model_of(), model_of(vocab_size=300_000)
    assert memory.bytes_of_token(large) > 100 * memory.bytes_of_token(small)
    assert memory.most_tokens(small) == 2048
    assert 0 < memory.most_tokens(large) < 2048
    assert memory.most_tokens(large, kept_to_end=True) == memory.most_tokens(large) / 2


def test_reference_rows_share_a_pass_as_far_as_memory_allows(monkeypatch):
    model, rows = model_of(dtype=torch.float32), rows_of([20] * 8)
    together = reference_gradients(model, rows, [list(range(8))], 0)
    weights = sum(value.nbytes for value in model.parameters())
    monkeypatch.setattr(memory, "CPU_BYTES", 50 * memory.bytes_of_token(model) - weights)
    with Largest() as largest:
        found = reference_gradients(model, rows, [list(range(8))], 0)
    assert largest.elements <= 50 * 300  # logits of two rows; those of all have 48,000
    for name, gradient in together.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-7), name
