"""Log-likelihoods of continuations, with each shared context run through the model once.

The choices of one question share their prompt, so the prompt's keys and values are computed once
and repeated for the choices. The numbers are those of scoring each choice by itself, apart from
rounding.
"""

from collections.abc import Iterator, Sequence
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
    """Token ids of a context and of a continuation, neither empty, and the pair's index."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]
    index: int


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
    batches = list(_batch_by_context(pairs, batch))
    scores: dict[int, Score] = {}
    results = engine.workers.map_batches(_score_rows, batches)
    for rows, row_scores in zip(batches, results, strict=True):
        for pair, score in zip(rows, row_scores, strict=True):
            scores[pair.index] = score
    return [scores[index] for index in range(len(pairs))]


def _batch_by_context(
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]], batch: int
) -> Iterator[list[TokenPair]]:
    """Pairs in batches of at most `batch` contexts, long contexts first, equal ones together."""
    groups: dict[tuple[int, ...], list[TokenPair]] = {}
    for index, (context, continuation) in enumerate(pairs):
        pair = TokenPair(tuple(context), tuple(continuation), index)
        groups.setdefault(pair.context, []).append(pair)
    contexts = sorted(groups, key=lambda context: (-len(context), context))
    for start in range(0, len(contexts), batch):
        rows = []
        for context in contexts[start : start + batch]:
            rows += groups[context]
        yield rows


def _score_rows(engine: "TransformersEngine", rows: list[TokenPair]) -> list[Score]:
    """Scores of pairs whose contexts share one forward pass; equal contexts lie side by side."""
    model = engine.model
    contexts = list(dict.fromkeys(pair.context for pair in rows))
    number = {context: n for n, context in enumerate(contexts)}
    chosen = torch.tensor([number[pair.context] for pair in rows], device=model.device)
    ids, mask = pad_with_mask(contexts, 0, model.device, left=True)
    cache = DynamicCache(config=model.config)
    # Padding on the left must not shift the positions of the tokens.
    positions = (mask.cumsum(-1) - 1).clamp_(min=0)
    context_logits = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    logits = context_logits[chosen]  # (rows, 1, vocabulary): of the first token after the context
    targets, present = pad_with_mask([pair.continuation for pair in rows], 0, model.device)
    if targets.shape[1] > 1:
        # Each row takes its context's keys and values, then reads its own continuation. The last
        # token of a continuation predicts nothing that is scored, so it is not read.
        cache.batch_select_indices(chosen)
        start = positions[chosen, -1:] + 1
        rest = model(
            input_ids=targets[:, :-1],
            attention_mask=torch.cat([mask[chosen], present[:, :-1]], dim=1),
            position_ids=start + torch.arange(targets.shape[1] - 1, device=model.device),
            past_key_values=cache,
            use_cache=True,
        ).logits
        logits = torch.cat([logits, rest], dim=1)  # (rows, width, vocabulary)
    return _sum_scores(logits, targets, present)


def _sum_scores(logits: torch.Tensor, targets: torch.Tensor, present: torch.Tensor) -> list[Score]:
    """Summed log-probability of each row, and whether all its tokens are the likeliest ones.

    logits: (rows, width, vocabulary). targets, present: (rows, width), token ids and 1 at each.
    """
    logits = logits.float()
    token = logits.gather(2, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(dim=-1)
    # Padding counts as greedy, so that it decides nothing.
    greedy = (logits.argmax(dim=-1) == targets) | (present == 0)
    sums = (token * present).sum(dim=1).tolist()
    return list(zip(sums, greedy.all(dim=1).tolist(), strict=True))
