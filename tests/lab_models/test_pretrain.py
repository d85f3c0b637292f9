"""Pre-training of a base model: batches, schedule, and going on after a stop.

What would break: padding is trained on, or a training that was stopped ends with other weights than
one that was not.
"""

import random
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from montessori.lab_models import pretrain as module
from montessori.lab_models.pretrain import Document, Recipe, learning_rate, pool_batches, pretrain

RECIPE = Recipe(tokens=1500, batch=128, learning_rate=1e-2, seed=1)


def document(rng: random.Random) -> Document:
    length = rng.randint(3, 20)
    return [rng.randrange(1, 16) for _ in range(length)], [0.5, *[1.0] * (length - 1)]


def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=32,
        )
    )


@pytest.fixture(autouse=True)
def short_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL_BATCHES", 4)


def test_batches_hold_every_document_and_padding_weighs_nothing() -> None:
    batches = list(pool_batches(document, RECIPE, 0))
    assert all(ids.numel() <= RECIPE.batch for ids, _ in batches)
    assert sum((weights > 0).sum().item() for _, weights in batches) >= 4 * RECIPE.batch
    assert all((ids[weights == 0] == 0).all() for ids, weights in batches)


def test_pools_follow_from_seed_and_number() -> None:
    first, again, other = (list(pool_batches(document, RECIPE, pool)) for pool in (0, 0, 1))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=False))


def test_the_rate_rises_then_falls_to_a_fiftieth() -> None:
    rates = [learning_rate(RECIPE, seen) for seen in (0, 45, 750, 1500, 9000)]
    assert rates[0] < rates[2] < rates[1]
    assert rates[3] < rates[2]
    assert rates[1] == pytest.approx(1e-2)
    assert rates[3] == rates[4] == pytest.approx(2e-4)


def test_a_stopped_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model()
    pretrain(whole, document, RECIPE, tmp_path / "whole", "whole")

    saves = 0
    save = module._save_checkpoint

    def stop(*args: object) -> None:
        nonlocal saves
        save(*args)  # type: ignore[arg-type]
        saves += 1
        if saves == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "_save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain(model(), document, RECIPE, tmp_path / "cut", "cut")
    monkeypatch.setattr(module, "_save_checkpoint", save)
    rest = model()
    state = pretrain(rest, document, RECIPE, tmp_path / "cut", "cut")
    assert state["tokens"] >= RECIPE.tokens
    for a, b in zip(whole.parameters(), rest.parameters(), strict=True):
        assert torch.equal(a, b)
