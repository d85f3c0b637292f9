"""Drawing tokens: the nucleus, the inverse distribution, seeds of rows.

What would break: samples do not follow the model's distribution, or a row's text depends on the
rows beside it.
"""

import math

import numpy as np
import pytest

from montessori.generate import Sampling

torch = pytest.importorskip("torch")

LOGITS = torch.log(torch.tensor([[0.1, 0.5, 0.15, 0.25]]))  # sorted: 1, 3, 2, 0


def draw_at(uniform, top_p):
    from montessori.generate.sampling import draw_tokens

    return draw_tokens(LOGITS, torch.tensor([uniform], dtype=torch.float64), top_p).item()


@pytest.mark.parametrize(
    ("uniform", "token"),
    [(0.0, 1), (0.49, 1), (0.51, 3), (0.74, 3), (0.76, 2), (0.89, 2), (0.91, 0), (1 - 1e-12, 0)],
)
def test_all_tokens_by_hand(uniform, token):
    assert draw_at(uniform, 1.0) == token


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (0.66, 1), (0.67, 3), (1 - 1e-12, 3)])
def test_nucleus_by_hand(uniform, token):
    """top_p 0.7 keeps 0.5 and 0.25; the first has 2/3 of their mass."""
    assert draw_at(uniform, 0.7) == token


def test_a_tiny_nucleus_is_greedy():
    assert {draw_at(u, 1e-6) for u in np.linspace(0, 0.999, 20)} == {1}


def test_order_is_a_stable_falling_sort_also_with_ties():
    from montessori.generate.sampling import sort_tokens

    generator = torch.Generator().manual_seed(0)
    for logits in (
        torch.randn(8, 50, generator=generator),
        torch.randn(8, 50, generator=generator).round(),
        torch.tensor([[0.0, -0.0, 1.0, -math.inf]]),
    ):
        expected = torch.sort(logits, dim=-1, descending=True, stable=True).indices
        assert torch.equal(sort_tokens(logits), expected)


def test_a_rows_numbers_depend_on_its_seed_alone():
    from montessori.generate.sampling import row_uniforms

    assert np.array_equal(row_uniforms(5, 3), row_uniforms(5, 9)[:3])
    assert not np.array_equal(row_uniforms(5, 3), row_uniforms(6, 3))
    assert row_uniforms(2**63 - 1, 2).shape == (2,)


def test_draws_follow_the_distribution():
    from montessori.generate.sampling import draw_tokens, row_uniforms

    uniforms = torch.tensor([row_uniforms(seed, 1)[0] for seed in range(4000)])
    tokens = draw_tokens(LOGITS.expand(4000, -1), uniforms, 1.0)
    shares = torch.bincount(tokens, minlength=4) / 4000
    torch.testing.assert_close(shares, LOGITS.exp()[0], atol=0.03, rtol=0)


@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.5])
@pytest.mark.parametrize("kind", ["peaked", "flat", "tied", "mixed", "masked", "edge"])
def test_a_large_vocabulary_is_drawn_from_without_sorting_it(kind, top_p):
    """The likeliest tokens give the same draw as all of them, or leave the row to the full sort."""
    from montessori.generate import sampling

    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(24, sampling.SMALL_VOCABULARY, generator=generator)
    if kind == "peaked":
        logits *= 6
    elif kind == "tied":  # the last of the likeliest equal others that are not among them
        logits = (logits * 3).round() * 2
    elif kind == "mixed":
        logits[::2] *= 6
    elif kind == "masked":
        logits[:, 5:] = -math.inf
    elif kind == "edge":  # 256 of 700 likeliest tokens are known, and are not the first by id
        logits = torch.zeros_like(logits)
        logits[:, torch.randperm(logits.shape[1], generator=generator)[:700]] = 20.0
    uniforms = torch.rand(24, generator=generator, dtype=torch.float64)
    tokens, settled = sampling._draw_from_likeliest(logits, uniforms, top_p)
    expected = sampling._draw_from_all(logits, uniforms, top_p)
    assert torch.equal(tokens[settled], expected[settled])
    assert torch.equal(sampling.draw_tokens(logits, uniforms, top_p), expected)
    if kind == "flat" and top_p < 1:
        assert not settled.any()
    if kind in ("peaked", "masked"):
        assert settled.all()


def test_presence_penalty_counts_generated_tokens_once():
    from montessori.generate.sampling import Sampler

    sampler = Sampler(Sampling(4, presence_penalty=1.0), [0], 4, "cpu")
    picks = [sampler.choose_tokens(LOGITS, step).item() for step in range(4)]
    # logs -0.69, -1.39, -1.90, -2.30: each pick costs one; from then on the order is as at first
    assert picks == [1, 3, 1, 1]
