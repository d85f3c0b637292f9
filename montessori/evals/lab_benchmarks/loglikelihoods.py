"""Log-likelihoods of continuations, with each shared context run through the model once.

The choices of one question share their prompt, so the prompt's keys and values are computed once
and repeated for the choices: the same numbers as scoring each choice by itself, but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from montessori.models.padding import pad_with_mask

if TYPE_CHECKING:
    from montessori.generate.transformers_engine import TransformersEngine

Score = tuple[float, bool]


@dataclass(frozen=True)
class TokenPair:
    """Token ids of a context and of a continuation, neither empty, and the pair's position."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    place: int


def score_pairs(
    engine: "TransformersEngine",
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    batch: int,
) -> list[Score]:
    """Score (context, continuation) pairs of token ids by the engine's model.

    batch: contexts of one forward pass.
    Returns for each pair the summed log-probability of the continuation (nats) and whether each of
    its tokens is the model's most likely one.
    """
    groups: dict[tuple[int, ...], list[TokenPair]] = {}
    for place, (context, continuation) in enumerate(pairs):
        pair = TokenPair(tuple(context), tuple(continuation), place)
        groups.setdefault(pair.context, []).append(pair)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[0]), group[0]))
    batches = [_flatten_groups(ordered[i : i + batch]) for i in range(0, len(ordered), batch)]
    scores: dict[int, Score] = {}
    for rows, found in zip(batches, engine.cores.map(_score_rows, batches), strict=True):
        scores |= {pair.place: score for pair, score in zip(rows, found, strict=True)}
    return [scores[place] for place in range(len(pairs))]


def _flatten_groups(part: list[tuple[tuple[int, ...], list[TokenPair]]]) -> list[TokenPair]:
    return [pair for _, group in part for pair in group]


def _score_rows(engine: "TransformersEngine", rows: list[TokenPair]) -> list[Score]:
    """Scores of pairs whose contexts share one forward pass; equal contexts lie side by side."""
    model = engine.model
    contexts = list(dict.fromkeys(pair.context for pair in rows))
    number = {context: n for n, context in enumerate(contexts)}
    chosen = torch.tensor([number[pair.context] for pair in rows], device=model.device)
    ids, mask = pad_with_mask(contexts, 0, model.device, left=True)
    cache = DynamicCache(config=model.config)
    positions = (mask.cumsum(-1) - 1).clamp_(min=0)
    first = model(
        input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
        use_cache=True, logits_to_keep=1,
    ).logits[chosen]  # (rows, 1, vocabulary)  # fmt: skip
    targets, present = pad_with_mask([pair.continuation for pair in rows], 0, model.device)
    logits = first
    if targets.shape[1] > 1:
        cache.batch_select_indices(chosen)
        start = positions[chosen, -1:] + 1
        rest = model(
            input_ids=targets[:, :-1],
            attention_mask=torch.cat([mask[chosen], present[:, :-1]], dim=1),
            position_ids=start + torch.arange(targets.shape[1] - 1, device=model.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        logits = torch.cat([first, rest], dim=1)  # (rows, width, vocabulary)
    return _sum_scores(logits, targets, present)


def _sum_scores(logits: torch.Tensor, targets: torch.Tensor, present: torch.Tensor) -> list[Score]:
    """Sum and greediness of each row; logits (rows, width, vocabulary), others (rows, width)."""
    logits = logits.float()
    token = logits.gather(2, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(dim=-1)
    greedy = (logits.argmax(dim=-1) == targets) | (present == 0)
    sums = (token * present).sum(dim=1).tolist()
    return list(zip(sums, greedy.all(dim=1).tolist(), strict=True))
