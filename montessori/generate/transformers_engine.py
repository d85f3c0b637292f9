"""The engine on transformers: a decoding loop of our own around the model's forward pass.

Prompts of similar length form a batch; a prompt runs through the model once and its keys and
values are repeated for its samples; rows that ended leave the batch. Models that cannot be read so
are read more slowly: see `reading`. Weights are fp32 on a CPU: sampled text is then the same in any
batch but for rounding at near-ties (1e-7 of a logit).
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch

from montessori.generate.engine import FirstTokens, Generated, Request, Sampling
from montessori.generate.local import LocalModel, context_length
from montessori.generate.reading import (
    Texts,
    choose_way,
    has_rotary,
    left_positions,
    steady_length,
)
from montessori.generate.sampling import Sampler
from montessori.models.adapters import load_merged
from montessori.models.padding import pad_with_mask
from montessori.pipeline.workers import Workers

if TYPE_CHECKING:
    from montessori.pipeline.machine import Machine

LOG = logging.getLogger(__name__)

#: What a model is tried on when it is opened.
SOME_TEXT = "One morning, 12 of the 30 children were late: what did the other ones do until ten?"
#: Rows leave the batch when no more than this share of it is still being written.
COMPACT = 0.8

Placed = tuple[int, Request]  # a request and its position in the call


@dataclass
class Row:
    """A sample being written: where it belongs, its tokens so far, how many it may have."""

    request: int
    sample: int
    tokens: list[int]
    room: int = 0
    finished: bool = False
    first: FirstTokens = ()


class TransformersEngine(LocalModel):
    """A causal language model of transformers; adapters in its folder are merged into it.

    `batch` is the number of rows decoded at once, `device` "auto", "cpu" or "cuda", `threads` the
    number of CPU threads (0 = all cores), `dtype` "auto" (float32 on a CPU, bfloat16 on a GPU) or
    the name of a torch dtype.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch: int = 64,
        device: str = "auto",
        threads: int = 0,
        dtype: str = "auto",
    ) -> None:
        super().__init__(folder)
        available = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = available if device == "auto" else device
        default = torch.float32 if self.device == "cpu" else torch.bfloat16
        self.dtype = default if dtype == "auto" else getattr(torch, dtype)
        self.batch = batch
        self.threads = threads or torch.get_num_threads()
        self.model = load_merged(folder, self.dtype).to(self.device).eval()
        self.end_ids = self.find_end_ids(self.model.generation_config.eos_token_id)
        config = self.model.config
        self.limit = min(context_length(config), steady_length(config))
        self.rotary = has_rotary(self.model)
        self.way = choose_way(self.model, self.tokenizer(SOME_TEXT)["input_ids"])
        if not self.way.padded:
            LOG.info("%s is read %s", folder, self.way)
        self.workers = Workers(self, self.threads, self.device)

    @classmethod
    def open(cls, folder: Path, machine: "Machine") -> Self:
        """The engine for the model in `folder`, as the section `machine` has it.

        Raises MontessoriError when the folder holds no usable model.
        """
        return cls(
            folder, batch=machine.generation_batch, device=machine.device, threads=machine.threads
        )

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Generated]:
        """All samples of all requests, ordered by (request, sample); see `Engine`.

        A prompt that leaves no room in the model's context gives empty, unfinished samples; one
        that leaves little room is cut there, whatever else is in the batch.
        """
        made: dict[tuple[int, int], Generated] = {}
        work = partial(TransformersEngine.decode_batch, sampling=sampling)
        for results in self.workers.map_batches(
            work, list(self._batches(requests, sampling.max_new_tokens))
        ):
            made |= {(result.request, result.sample): result for result in results}
            if on_done is not None:
                on_done(len(results))
        return [made[i, k] for i, request in enumerate(requests) for k in range(len(request.seeds))]

    def _batches(self, requests: Sequence[Request], new: int) -> Iterator[list[Placed]]:
        """Requests of similar length, about `batch` samples of up to `new` tokens together.

        Batches are as few as `batch` allows, and of one size: workers that have one each end at
        the same time.
        """
        order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].ids), i))
        samples = sum(len(request.seeds) for request in requests)
        size = math.ceil(samples / max(1, math.ceil(samples / self.batch)))
        group: list[Placed] = []
        rows = 0
        for i in order:
            full = rows >= size or rows + len(requests[i].seeds) > self.batch
            if group and (full or not self._goes_with(requests[i], group[0][1], new)):
                yield group
                group, rows = [], 0
            group.append((i, requests[i]))
            rows += len(requests[i].seeds)
        if group:
            yield group

    def _goes_with(self, request: Request, longest: Request, new: int) -> bool:
        """Whether `request` may share a batch with one that is no shorter."""
        width = len(longest.ids)
        if not self.way.padded and len(request.ids) != width:
            return False
        # Padding counts where positions are looked up in a table of the context's length.
        return self.rotary or width + min(new, self.limit - len(request.ids)) <= self.limit

    def decode_batch(self, group: Sequence[Placed], sampling: Sampling) -> list[Generated]:
        """All samples of the requests of a batch."""
        rows = [Row(i, k, []) for i, request in group for k in range(len(request.seeds))]
        fits = {i: request for i, request in group if len(request.ids) < self.limit}
        if fits:
            written = [row for row in rows if row.request in fits]
            copies = [n for n, request in enumerate(fits.values()) for _ in request.seeds]
            for row in written:
                row.room = min(sampling.max_new_tokens, self.limit - len(fits[row.request].ids))
            seeds = [fits[row.request].seeds[row.sample] for row in written]
            prompts = [request.ids for request in fits.values()]
            self._write(prompts, copies, written, seeds, sampling)
        asked = {i: request.ids for i, request in group}
        made = []
        for row, text in zip(rows, self.decode_texts([row.tokens for row in rows]), strict=True):
            text, tokens, thought = self.part_thought(text, len(row.tokens), asked[row.request])
            made.append(
                Generated(text, tokens, row.finished, row.request, row.sample, row.first, thought)
            )
        return made

    def _write(
        self,
        prompts: list[Sequence[int]],
        copies: list[int],
        rows: list[Row],
        seeds: list[int],
        sampling: Sampling,
    ) -> None:
        """Fill `rows`; row r continues prompt `copies[r]`."""
        pad = self.tokenizer.pad_token_id or 0
        ids, mask = pad_with_mask(prompts, pad, self.device, left=True)  # (prompts, width)
        width = ids.shape[1]
        state = Texts(self.model, self.way, width + sampling.max_new_tokens)
        positions = left_positions(mask)
        logits = state.read(ids, mask, positions)[:, -1]
        mask = torch.cat([mask, mask.new_ones(len(prompts), sampling.max_new_tokens)], dim=1)
        chosen = torch.tensor(copies, device=self.device)
        state.select_rows(chosen)
        logits, mask, position = logits[chosen], mask[chosen], positions[chosen, -1:]
        if sampling.logprobs:
            self._keep_first(rows, logits, sampling.logprobs)
        sampler = Sampler(sampling, seeds, logits.shape[-1], self.device)
        for step in range(sampling.max_new_tokens):
            tokens = sampler.choose_tokens(logits, step)
            alive = _append_tokens(rows, tokens.tolist(), self.end_ids)
            if sampling.stop:
                alive = [r for r in alive if not self._reach_stop(rows[r], sampling.stop)]
            if not alive:
                return
            if len(alive) <= COMPACT * len(rows):
                kept = torch.tensor(alive, device=self.device)
                state.select_rows(kept)
                sampler.keep_rows(kept)
                rows = [rows[r] for r in alive]
                tokens, mask, position = tokens[kept], mask[kept], position[kept]
            position = position + 1
            if step + 1 < sampling.max_new_tokens:
                seen = mask[:, : width + step + 1]
                logits = state.read(tokens[:, None], seen, position)[:, -1]

    def _reach_stop(self, row: Row, stops: Sequence[str]) -> bool:
        """Whether a row has just come to one of the texts that end it; it is then finished."""
        # A token has a byte at least, and a stop text may begin inside the first of these tokens.
        last = row.tokens[-1 - max(len(stop.encode()) for stop in stops) :]
        text = self.decode_texts([last])[0]
        row.finished = any(stop in text for stop in stops)
        return row.finished

    def _keep_first(self, rows: list[Row], logits: torch.Tensor, count: int) -> None:
        """Give each row its `count` likeliest first tokens, from logits (rows, vocabulary)."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        values, ids = logprobs.topk(min(count, logprobs.shape[-1]), dim=-1)
        for row, found, tokens in zip(rows, values.tolist(), ids.tolist(), strict=True):
            texts = self.decode_texts([[token] for token in tokens])
            row.first = tuple(zip(texts, found, strict=True))


def _append_tokens(rows: list[Row], tokens: list[int], ends: frozenset[int]) -> list[int]:
    """Give each row its next token; the positions of the rows that go on."""
    alive = []
    for place, (row, token) in enumerate(zip(rows, tokens, strict=True)):
        if row.finished or len(row.tokens) >= row.room:
            continue
        if token in ends:
            row.finished = True
            continue
        row.tokens.append(token)
        if len(row.tokens) < row.room:
            alive.append(place)
    return alive
