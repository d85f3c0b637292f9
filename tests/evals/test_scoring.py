from pathlib import Path

import pytest
import torch

from montessori.evals.scoring import score_pairs
from montessori.weights import load_model

CONTEXTS = [(5, 9, 200, 31), (7,), (5, 9, 200, 31, 44, 45, 46, 90, 12), (8, 8)]
CONTINUATIONS = [(60,), (61, 62), (60, 70, 80, 81, 90), (99, 3)]


@pytest.fixture(scope="module")
def model(model_folder: Path) -> torch.nn.Module:
    return load_model(model_folder, torch.float32).eval()


def alone(model: torch.nn.Module, context: tuple, continuation: tuple) -> tuple[float, bool]:
    """The slow and obvious version: one unpadded forward pass per pair."""
    ids = torch.tensor([[*context, *continuation]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(context) - 1 : -1].log_softmax(dim=-1)
    targets = torch.tensor(continuation)
    total = logits.gather(1, targets[:, None]).sum().item()
    return total, bool((logits.argmax(dim=-1) == targets).all())


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_shared_contexts_give_the_scores_of_single_passes(
    model: torch.nn.Module, batch: int, threads: int
) -> None:
    pairs = [(context, rest) for rest in CONTINUATIONS for context in CONTEXTS]
    found = score_pairs(model, pairs, batch, threads)
    for (score, greedy), pair in zip(found, pairs, strict=True):
        expected, expected_greedy = alone(model, *pair)
        assert score == pytest.approx(expected, abs=1e-4)
        assert greedy == expected_greedy


def test_the_models_own_continuation_is_greedy(model: torch.nn.Module) -> None:
    ids = list(CONTEXTS[0])
    with torch.no_grad():
        for _ in range(3):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    own = tuple(ids[4:])
    other = (*own[:2], (own[2] + 1) % 300)
    greedy = [one[1] for one in score_pairs(model, [(ids[:4], own), (ids[:4], other)], 4, 1)]
    assert greedy == [True, False]
    single = score_pairs(model, [(ids[:4], own[:1])], 4, 1)
    assert single[0][1] is True


def test_no_pairs_give_no_scores(model: torch.nn.Module) -> None:
    assert score_pairs(model, [], 4, 2) == []
