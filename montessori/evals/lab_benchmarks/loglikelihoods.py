"""Log-likelihoods of continuations, with each shared context run through the model once.

The choices of one question share their prompt, so the prompt's keys and values are computed once
and repeated for the choices. Models with states beside or instead of keys and values read each
choice with its context. The numbers are those of scoring each choice by itself, apart from
rounding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from montessori.generate.reading import Texts, left_positions
from montessori.models.padding import pad_with_mask

if TYPE_CHECKING:
    from montessori.generate.transformers_engine import TransformersEngine

Score = tuple[float, bool]

#: Tokens of a pass that gives logits for all of them.
WHOLE = 4096


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
    work = _score_rows if engine.way.joined else _score_whole
    results = engine.workers.map_batches(work, batches)
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
    # Padding on the left must not shift the positions of the tokens.
    positions = left_positions(mask)
    state = Texts(model, engine.way, capacity=0)
    context_logits = state.read(ids, mask, positions)
    logits = context_logits[chosen]  # (rows, 1, vocabulary): of the first token after the context
    targets, present = pad_with_mask([pair.continuation for pair in rows], 0, model.device)
    if targets.shape[1] > 1:
        # Each row takes its context's keys and values, then reads its own continuation. The last
        # token of a continuation predicts nothing that is scored, so it is not read.
        state.select_rows(chosen)
        start = positions[chosen, -1:] + 1
        steps = torch.arange(targets.shape[1] - 1, device=model.device)
        seen = torch.cat([mask[chosen], present[:, :-1]], dim=1)
        rest = state.read(targets[:, :-1], seen, start + steps, keep=0)
        logits = torch.cat([logits, rest], dim=1)  # (rows, width, vocabulary)
    return _sum_scores(logits, targets, present)


def _score_whole(engine: "TransformersEngine", rows: list[TokenPair]) -> list[Score]:
    """Scores of pairs that are each read from the beginning, padded at the right if at all."""
    scores: list[Score] = []
    for pairs in _split_rows(rows, engine.way.padded):
        texts = [[*pair.context, *pair.continuation] for pair in pairs]
        ids, mask = pad_with_mask(texts, 0, engine.model.device)
        # No token sees the padding behind it, so equal lengths need no mask, and others only one.
        padded = {} if bool(mask.all()) else {"attention_mask": mask}
        logits = engine.model(input_ids=ids, **padded).logits
        for pair, row in zip(pairs, logits, strict=True):
            start, end = len(pair.context), len(pair.context) + len(pair.continuation)
            targets = ids.new_tensor([pair.continuation])
            seen = row[None, start - 1 : end - 1]
            scores += _sum_scores(seen, targets, torch.ones_like(targets))
    return scores


def _split_rows(rows: list[TokenPair], padded: bool) -> Iterator[list[TokenPair]]:
    """Rows in passes of at most `WHOLE` tokens, in their order; of one length unless `padded`."""
    together: list[TokenPair] = []
    longest = 0
    for pair in rows:
        length = len(pair.context) + len(pair.continuation)
        full = max(longest, length) * (len(together) + 1) > WHOLE
        if together and (full or (not padded and length != longest)):
            yield together
            together, longest = [], 0
        together.append(pair)
        longest = max(longest, length)
    if together:
        yield together


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
