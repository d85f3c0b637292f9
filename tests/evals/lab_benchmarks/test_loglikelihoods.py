"""Log-likelihoods of continuations that share their contexts.

What would break: the fast way to score choices gives other numbers than scoring each choice by
itself.
"""

from pathlib import Path

import pytest
import torch

from montessori.evals.lab_benchmarks.loglikelihoods import TokenPair, _split_rows, score_pairs
from montessori.generate.transformers_engine import TransformersEngine

CONTEXTS = [(5, 9, 200, 31), (7,), (5, 9, 200, 31, 44, 45, 46, 90, 12), (8, 8)]
CONTINUATIONS = [(60,), (61, 62), (60, 70, 80, 81, 90), (99, 3)]


@pytest.fixture(scope="module", params=[1, 2], ids=["one thread", "two threads"])
def engine(model_folder: Path, request: pytest.FixtureRequest) -> TransformersEngine:
    return TransformersEngine(model_folder, device="cpu", threads=request.param)


def alone(model: torch.nn.Module, context: tuple, continuation: tuple) -> tuple[float, bool]:
    """The slow and obvious version: one unpadded forward pass per pair."""
    ids = torch.tensor([[*context, *continuation]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(context) - 1 : -1].log_softmax(dim=-1)
    targets = torch.tensor(continuation)
    total = logits.gather(1, targets[:, None]).sum().item()
    return total, bool((logits.argmax(dim=-1) == targets).all())


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_shared_contexts_give_the_scores_of_single_passes(
    engine: TransformersEngine, batch: int
) -> None:
    pairs = [(context, rest) for rest in CONTINUATIONS for context in CONTEXTS]
    found = score_pairs(engine, pairs, batch)
    for (score, greedy), pair in zip(found, pairs, strict=True):
        expected, expected_greedy = alone(engine.model, *pair)
        assert score == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy


def test_the_models_own_continuation_is_greedy(engine: TransformersEngine) -> None:
    ids = list(CONTEXTS[0])
    with torch.no_grad():
        for _ in range(3):
            ids.append(int(engine.model(torch.tensor([ids])).logits[0, -1].argmax()))
    own = tuple(ids[4:])
    other = (*own[:2], (own[2] + 1) % 300)
    greedy = [one[1] for one in score_pairs(engine, [(ids[:4], own), (ids[:4], other)], 4)]
    assert greedy == [True, False]
    single = score_pairs(engine, [(ids[:4], own[:1])], 4)
    assert single[0][1] is True


@pytest.mark.parametrize(("padded", "passes"), [(True, [[0, 1, 2]]), (False, [[0, 1], [2]])])
def test_texts_of_other_lengths_share_no_pass_where_padding_enters_states(padded, passes) -> None:
    texts = [((5, 9), (60, 61)), ((5, 9, 7), (60,)), ((5, 9, 7), (60, 61))]
    rows = [TokenPair(*text, index) for index, text in enumerate(texts)]
    found = [[pair.index for pair in part] for part in _split_rows(rows, padded)]
    assert found == passes


def test_no_pairs_give_no_scores(engine: TransformersEngine) -> None:
    assert score_pairs(engine, [], 4) == []
