"""Drawing the next tokens of a batch, each row from random numbers of its own."""

import numpy as np
import torch

from montessori.generate.engine import Sampling

#: Tokens among which a draw is looked for first, and the vocabulary from which on that pays.
LIKELIEST = 256
SMALL_VOCABULARY = 8192


def row_uniforms(seed: int, count: int) -> np.ndarray:
    """The random numbers of one row, (count,) float64 in [0, 1): step k uses number k.

    From the counter-based Philox generator keyed by the row's seed, so that they depend neither
    on the batch nor on `count` (Salmon et al., 2011).
    """
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


class Sampler:
    """Chooses tokens for the rows of a batch and follows rows as they leave it."""

    def __init__(self, sampling: Sampling, seeds: list[int], vocabulary: int, device: str) -> None:
        self.sampling = sampling
        self.uniforms: torch.Tensor | None = None  # (rows, max_new_tokens) float64
        self.seen: torch.Tensor | None = None  # (rows, vocabulary) bool
        if sampling.temperature > 0:
            numbers = [row_uniforms(seed, sampling.max_new_tokens) for seed in seeds]
            self.uniforms = torch.from_numpy(np.stack(numbers)).to(device)
        if sampling.presence_penalty != 0:
            self.seen = torch.zeros(len(seeds), vocabulary, dtype=torch.bool, device=device)

    def choose_tokens(self, logits: torch.Tensor, step: int) -> torch.Tensor:
        """Token ids (rows,) int64 for step `step` from logits (rows, vocabulary)."""
        logits = logits.float()
        if self.seen is not None:
            logits = logits - self.sampling.presence_penalty * self.seen
        if self.uniforms is None:
            tokens = logits.argmax(-1)
        else:
            logits = logits / self.sampling.temperature
            tokens = draw_tokens(logits, self.uniforms[:, step], self.sampling.top_p)
        if self.seen is not None:
            self.seen.scatter_(1, tokens[:, None], True)
        return tokens

    def keep_rows(self, rows: torch.Tensor) -> None:
        """Go on with the rows at the positions `rows` (int64) only."""
        if self.uniforms is not None:
            self.uniforms = self.uniforms[rows]
        if self.seen is not None:
            self.seen = self.seen[rows]


def draw_tokens(logits: torch.Tensor, uniforms: torch.Tensor, top_p: float) -> torch.Tensor:
    """Inverse of the cumulative distribution over the sorted nucleus (Holtzman et al., 2020).

    `logits` (rows, vocabulary) float32, `uniforms` (rows,) float64 in [0, 1); returns (rows,)
    int64. The nucleus holds the most probable tokens up to the one that reaches `top_p`; equal
    probabilities are ordered by token id.
    """
    if logits.shape[-1] < SMALL_VOCABULARY:
        return _draw_from_all(logits, uniforms, top_p)
    # Most draws fall on one of the likeliest tokens: only the other rows need all tokens sorted.
    tokens, settled = _draw_from_likeliest(logits, uniforms, top_p)
    if not settled.all():
        left = ~settled
        tokens[left] = _draw_from_all(logits[left], uniforms[left], top_p)
    return tokens


def _draw_from_all(logits: torch.Tensor, uniforms: torch.Tensor, top_p: float) -> torch.Tensor:
    ids = sort_tokens(logits)
    ordered = logits.gather(1, ids)
    cumulative = torch.softmax(ordered, dim=-1, dtype=torch.float32).cumsum(-1, dtype=torch.float64)
    total = cumulative[:, -1:]
    last = torch.searchsorted(cumulative, top_p * total).clamp_(max=logits.shape[-1] - 1)
    mass = cumulative.gather(1, last)
    place = torch.searchsorted(cumulative, uniforms[:, None] * mass, right=True)
    return ids.gather(1, torch.minimum(place, last))[:, 0]


def _draw_from_likeliest(
    logits: torch.Tensor, uniforms: torch.Tensor, top_p: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same from the `LIKELIEST` tokens of each row, and whether they settle it, (rows,) bool.

    They do if the nucleus ends among them, and the draw on one that is likelier than the last of
    them: of several that are as likely as that, any may be here.
    """
    values, found = logits.topk(LIKELIEST, dim=-1, sorted=False)
    ids, order = found.sort(dim=-1)  # so that equal logits come by rising id
    order = order.gather(1, sort_tokens(values.gather(1, order)))
    ids, ordered = found.gather(1, order), values.gather(1, order)
    scale = torch.logsumexp(logits, dim=-1, keepdim=True)  # (rows, 1)
    cumulative = (ordered - scale).exp().cumsum(-1, dtype=torch.float64)  # of a total of 1
    known = (ordered > ordered[:, -1:]).sum(dim=-1, keepdim=True)  # tokens in their right place
    last = torch.searchsorted(cumulative, torch.full_like(cumulative[:, :1], top_p))
    ends = last < LIKELIEST
    mass = torch.where(ends, cumulative.gather(1, last.clamp(max=LIKELIEST - 1)), 1.0)
    place = torch.searchsorted(cumulative, uniforms[:, None] * mass, right=True)
    place = torch.where(ends, torch.minimum(place, last), place)
    settled = (place < known) & (ends | (top_p >= 1))
    return ids.gather(1, place.clamp_(max=LIKELIEST - 1))[:, 0], settled[:, 0]


def sort_tokens(logits: torch.Tensor) -> torch.Tensor:
    """Token ids (rows, vocabulary) int64 by falling logit, equal ones by rising id.

    On a CPU numpy sorts one integer per token, falling logit above id: several times faster than
    a stable sort in torch.
    """
    if logits.device.type != "cpu":
        return torch.sort(logits, dim=-1, descending=True, stable=True).indices
    bits = (logits + 0.0).numpy().view(np.int32)  # + 0.0: one zero only
    rising = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64)
    keys = (-rising << 32) | np.arange(logits.shape[-1])
    keys.sort(axis=-1)
    return torch.from_numpy(keys & 0xFFFFFFFF)
