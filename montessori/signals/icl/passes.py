"""Passes of a student over demonstrations and questions, with the numbers of each text by itself.

A demonstration is read once, its keys and values are repeated for its questions, and questions of
different lengths are padded behind it. Where that would change what a question sees (a window
shorter than the text, distances between places instead of positions, states), each question is
read together with its demonstration instead.
"""

import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from montessori.generate.reading import Texts
from montessori.models.padding import pad_with_mask
from montessori.signals.icl.tokens import Ids, QuestionTokens

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from montessori.generate.transformers_engine import TransformersEngine

#: Keys of a config that bound how far back a layer looks, counted in places of its cache.
WINDOWS = (
    "sliding_window",
    "attention_chunk_size",
    "window_size",
    "attention_window_size",
    "local_attention",
)

Row = tuple[Ids, QuestionTokens]  # a prefix and one question after it


@dataclass
class State:
    """Rows in the middle of a text."""

    texts: Texts
    mask: torch.Tensor  # (rows, width), 1 where the text has a token
    logits: torch.Tensor  # (rows, vocabulary), of the next token
    position: torch.Tensor  # (rows, 1), of the last token
    again: int = 0  # tokens of prefixes that were read once more

    def select_rows(self, rows: torch.Tensor) -> None:
        """Go on with the rows at `rows` (int64), in that order; a row may occur twice."""
        self.texts.select_rows(rows)
        self.mask, self.logits = self.mask[rows], self.logits[rows]
        self.position = self.position[rows]


class Reader:
    """How an engine's model reads questions behind prefixes, and answers behind questions."""

    def __init__(self, engine: "TransformersEngine") -> None:
        self.engine = engine
        self.window = shortest_window(engine.model.config)
        names = inspect.signature(engine.model.forward).parameters
        self.takes_positions = "position_ids" in names

    def split_rows(self, rows: list[Row], new: int) -> list[list[int]]:
        """The numbers of the rows of each chunk, a batch that `new` tokens are written behind."""
        new = max(new, longest_answer(rows))
        size = max(1, self.engine.batch)
        groups: dict[int, list[int]] = {}  # rows that may share a batch
        for i, (prefix, row) in enumerate(rows):
            length = 0 if self.engine.way.padded else len(prefix) + len(row.question)
            groups.setdefault(length, []).append(i)
        chunks = []
        for group in groups.values():
            for start in range(0, len(group), size):
                chunk = group[start : start + size]
                # Padding counts where a model keeps a table as long as its context.
                padded = _padded_width([rows[i] for i in chunk])
                fits = self.engine.rotary or padded + new <= self.engine.limit
                chunks += [chunk] if fits else [[i] for i in chunk]
        return chunks

    def read_questions(self, rows: list[Row], new: int) -> State:
        """The state after prefix and question of each row, with room for `new` tokens."""
        if self._shares_prefixes(_padded_width(rows) + new):
            return self._read_behind_prefixes(rows, new)
        texts = [(*prefix, *row.question) for prefix, row in rows]
        ids, mask = pad_with_mask(texts, 0, self.engine.device, left=True)
        state = self._start_state(len(texts), ids.shape[1] + new)
        state.logits = self.read_tokens(state, ids, mask, keep=1)[:, -1]
        prefixes = [prefix for prefix, _ in rows]
        state.again = sum(map(len, prefixes)) - sum(map(len, set(prefixes)))
        return state

    def _shares_prefixes(self, width: int) -> bool:
        """Whether questions may be padded behind their prefixes, in `width` places together.

        Then places and positions differ: the model is given positions and keeps every key.
        """
        return self.engine.way.joined and self.takes_positions and width <= self.window

    def _start_state(self, rows: int, capacity: int) -> State:
        """The state before the first token of `rows` texts of at most `capacity` tokens."""
        texts = Texts(self.engine.model, self.engine.way, capacity)
        empty = torch.zeros(rows, 0, dtype=torch.long, device=self.engine.device)
        start = torch.full((rows, 1), -1, device=self.engine.device)
        return State(texts, empty, torch.empty(0), start)

    def _read_behind_prefixes(self, rows: list[Row], new: int) -> State:
        """`_read_questions` with each prefix read once."""
        device = self.engine.device
        prefixes = list(dict.fromkeys(prefix for prefix, _ in rows))
        number = {prefix: n for n, prefix in enumerate(prefixes)}
        # Padding at the left, so that the last token of each text is at the same place.
        ids, mask = pad_with_mask(prefixes, 0, device, left=True)
        asked = [row.question for _, row in rows]
        questions, present = pad_with_mask(asked, 0, device, left=True)
        state = self._start_state(len(prefixes), ids.shape[1] + questions.shape[1] + new)
        state.logits = self.read_tokens(state, ids, mask, keep=1)[:, -1]
        # From here on a row of the state is a question: repeat each prefix for its questions.
        state.select_rows(torch.tensor([number[prefix] for prefix, _ in rows], device=device))
        state.logits = self.read_tokens(state, questions, present, keep=1)[:, -1]
        return state

    def read_tokens(
        self, state: State, ids: torch.Tensor, mask: torch.Tensor | None, keep: int
    ) -> torch.Tensor:
        """Logits of the last `keep` (0 = all) tokens of `ids` (rows, new); the state moves on."""
        if mask is None:
            mask = torch.ones_like(ids)
        positions = state.position + mask.cumsum(-1)
        state.mask = torch.cat([state.mask, mask], dim=1)
        state.position = positions[:, -1:]
        known = positions.clamp(min=0)  # a padding token at the left has none
        return state.texts.read(ids, state.mask, known, keep)

    def read_answers(self, state: State, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits of all tokens of `ids` (rows, new), which may be padded at the right."""
        way = self.engine.way
        if way.joined or not way.cached:
            return self.read_tokens(state, ids, mask, keep=0)
        # States take in one token at a time. What follows the end of an answer is not looked at.
        steps = [self.read_tokens(state, one, None, keep=1) for one in ids.split(1, dim=1)]
        return torch.cat(steps, dim=1)


def shortest_window(config: "PreTrainedConfig") -> float:
    """The fewest tokens that a layer looks back, its own included; infinite if all see the whole.

    By the config of the text model. A place of padding counts as a token of the window.
    """
    text = config.get_text_config(decoder=True)
    found = [getattr(text, name, None) for name in WINDOWS]
    return min((size for size in found if isinstance(size, int) and size > 0), default=math.inf)


def _padded_width(rows: list[Row]) -> int:
    """Places that the longest prefix and the longest question of a chunk take."""
    return max(len(prefix) for prefix, _ in rows) + max(len(row.question) for _, row in rows)


def longest_answer(rows: list[Row]) -> int:
    """Tokens of the longest answer of some rows."""
    return max((len(answer) for _, row in rows for answer in row.answers), default=0)
