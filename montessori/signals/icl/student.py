"""A student's answers to questions after demonstrations, each demonstration read once.

The prefix (the demonstration) runs through the model once; its keys and values are repeated for
the questions. Then either the closed answers are read from one forward pass (`forced`) or the
student writes (`written`): the same numbers as asking each question by itself, but for rounding.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import torch
from transformers import Cache

from montessori.errors import MontessoriError
from montessori.generate.cache import buffer_cache
from montessori.generate.transformers_engine import TransformersEngine
from montessori.pipeline.workers import Cores
from montessori.signals.icl.tokens import Asked, Group, Ids

if TYPE_CHECKING:
    from montessori.pipeline.machine import Machine

Result = TypeVar("Result")
Place = tuple[int, int]  # group and question
Row = tuple[Ids, Asked]
Counted = tuple[list[Result], int]  # of a chunk, and the tokens read or written for its answers


@dataclass(frozen=True)
class Reading:
    """`greedy`: one of the answers is what the student writes greedily, and there it stops.

    `logprobs`: the summed log-probability of each answer's tokens, in nats, without the stop.
    `probability`: that the student, sampling at temperature 1, states one of the answers and stops.
    """

    greedy: bool
    logprobs: tuple[float, ...]
    probability: float


@dataclass(frozen=True)
class Form:
    """One way to state an answer: what the student writes greedily, log-probability of its tokens
    and of stopping behind them, in nats."""

    greedy: bool
    logprob: float
    stop: float


@dataclass
class State:
    """Rows in the middle of a text: cache, mask (rows, width), next logits and last position."""

    cache: Cache
    mask: torch.Tensor
    logits: torch.Tensor
    position: torch.Tensor  # (rows, 1)

    def select(self, rows: torch.Tensor) -> None:
        """Go on with the rows at `rows` (int64), in that order; a row may occur twice."""
        self.cache.batch_select_indices(rows)
        self.mask, self.logits = self.mask[rows], self.logits[rows]
        self.position = self.position[rows]


class Student:
    """A causal language model that answers plain text; `stop` is the text that ends an answer.

    `tokens` is what it has read and written so far: demonstrations once, padding not at all.
    """

    def __init__(self, engine: TransformersEngine, stop: str) -> None:
        self.engine = engine
        self.tokens = 0
        self.tokenizer = engine.tokenizer
        pieces = self._pieces()
        begin = {i for i, text in enumerate(pieces) if text[:1] == stop[:1]}
        self.end_ids = engine.end_ids | begin
        self.ends = torch.tensor(sorted(self.end_ids), device=engine.device)
        self.stop = stop
        self.closing = {i for i, text in enumerate(pieces) if stop[-1] in text}
        self._cores = Cores(self, engine.threads, engine.device)

    @classmethod
    def open(cls, folder: Path, machine: "Machine", stop: str) -> Self:
        """The student in `folder`. Raises MontessoriError when it holds no usable model."""
        return cls(TransformersEngine.open(folder, machine), stop)

    def _pieces(self) -> list[str]:
        """The text of each token by itself."""
        ids = [[i] for i in range(len(self.tokenizer))]
        return self.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)

    # --------------------------------------------------------------------------------- reading
    def forced(self, groups: Sequence[Group]) -> list[list[Reading]]:
        """A reading for each question of each group."""
        return self._spread(groups, Student.read)

    def right(self, groups: Sequence[Group]) -> list[list[bool]]:
        """`Reading.greedy` alone: answers that begin unlike the student's are not read."""
        return self._spread(groups, Student.judge)

    def written(self, groups: Sequence[Group], max_new_tokens: int) -> list[list[str]]:
        """What the student writes greedily after each question, up to `stop` or its context."""
        return self._spread(groups, partial(Student.write, new=max_new_tokens))

    def _spread(
        self, groups: Sequence[Group], work: Callable[["Student", list[Row]], Counted[Result]]
    ) -> list[list[Result]]:
        """`work` on chunks of questions, longest prefixes first; results as `groups` lie."""
        order = sorted(range(len(groups)), key=lambda g: (-len(groups[g][0]), g))
        places = [(g, q) for g in order for q in range(len(groups[g][1]))]
        size = max(1, self.engine.batch)
        rows = [(groups[g][0], groups[g][1][q]) for g, q in places]
        self._require_room(rows)
        self.tokens += sum(len(prefix) for prefix, _ in groups)
        self.tokens += sum(len(row.question) for _, row in rows)
        chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
        found: list[Result] = []
        for results, tokens in self._cores.map(work, chunks):
            found += results
            self.tokens += tokens
        by_place = dict(zip(places, found, strict=True))
        return [[by_place[g, q] for q in range(len(asked))] for g, (_, asked) in enumerate(groups)]

    @property
    def parameters(self) -> int:
        """How many parameters the model has."""
        return int(self.engine.model.num_parameters())

    def _require_room(self, rows: list[Row]) -> None:
        """Raise MontessoriError when a text is longer than the student's context."""
        lengths = [
            len(prefix) + len(row.question) + max(map(len, row.answers), default=1)
            for prefix, row in rows
        ]
        longest = max(lengths, default=0)
        if longest > self.engine.limit:
            raise MontessoriError(
                f"demonstration and question have {longest} tokens, more than the student reads",
                where=f"{self.tokenizer.name_or_path}, context {self.engine.limit}",
                expected="one demonstration, one question and its answer within the context",
                next="lower elicit.rationale_max_new_tokens or filter.max_characters, leave tasks "
                "with long questions out, or take another student",
            )

    def read(self, rows: list[Row]) -> Counted[Reading]:
        """A reading for each row of a chunk."""
        state = self._after_questions(rows, max(len(a) for _, r in rows for a in r.answers) + 1)
        places = [(n, form) for n, (_, row) in enumerate(rows) for form in row.answers]
        state.select(torch.tensor([n for n, _ in places], device=self.engine.device))
        forms = [form for _, form in places]
        found = iter(self._forms(state, forms))
        readings = [self._reading(row, [next(found) for _ in row.answers]) for _, row in rows]
        return readings, sum(map(len, forms))

    def _reading(self, row: Asked, forms: list[Form]) -> Reading:
        """The answers of a row together. One that goes on where another may stop is in that one."""
        within = [
            any(answer[: len(other)] == other and answer[len(other)] in self.end_ids
                for other in row.answers if len(other) < len(answer))
            for answer in row.answers
        ]  # fmt: skip
        alone = (form for form, inside in zip(forms, within, strict=True) if not inside)
        return Reading(
            any(form.greedy for form in forms),
            tuple(form.logprob for form in forms),
            sum(math.exp(form.logprob + form.stop) for form in alone),
        )

    def judge(self, rows: list[Row]) -> Counted[bool]:
        """Whether each row of a chunk is right."""
        state = self._after_questions(rows, max(len(a) for _, r in rows for a in r.answers) + 1)
        first = state.logits.argmax(-1).tolist()
        places = [
            (n, form)
            for n, (_, row) in enumerate(rows)
            for form in row.answers
            if form[0] == first[n]  # no other one can be what the student writes
        ]
        if not places:
            return [False] * len(rows), 0
        state.select(torch.tensor([n for n, _ in places], device=self.engine.device))
        forms = [form for _, form in places]
        found = self._forms(state, forms)
        right = {n for (n, _), form in zip(places, found, strict=True) if form.greedy}
        return [n in right for n in range(len(rows))], sum(map(len, forms))

    def _forms(self, state: State, forms: list[Ids]) -> list[Form]:
        """How the rows of `state` would go on with each text."""
        before = state.logits
        ids, present = self._padded(forms, left=False)
        after = self._forward(state, ids, present, keep=0)
        logits = torch.cat([before[:, None], after], dim=1).float()  # (forms, width + 1, vocab)
        best = logits.argmax(-1)
        token = logits[:, :-1].gather(2, ids[..., None])[..., 0] - logits[:, :-1].logsumexp(-1)
        right = ((best[:, :-1] == ids) | (present == 0)).all(1)
        behind = logits[torch.arange(len(forms)), present.sum(1)]  # (forms, vocab)
        right &= torch.isin(behind.argmax(-1), self.ends)
        stop = behind[:, self.ends].logsumexp(-1) - behind.logsumexp(-1)
        values = (right.tolist(), (token * present).sum(1).tolist(), stop.tolist())
        return [Form(*each) for each in zip(*values, strict=True)]

    def write(self, rows: list[Row], new: int) -> Counted[str]:
        """What is written after each row of a chunk, at most `new` tokens."""
        room = [self.engine.limit - len(prefix) - len(row.question) for prefix, row in rows]
        new = min(new, max(room))
        state = self._after_questions(rows, new)
        texts: list[list[int]] = [[] for _ in rows]
        alive = list(range(len(rows)))
        for step in range(new):
            tokens = state.logits.argmax(-1)
            going = []
            for place, (row, token) in enumerate(zip(alive, tokens.tolist(), strict=True)):
                if token not in self.engine.end_ids:
                    texts[row].append(token)
                    stopped = token in self.closing and self._stopped(texts[row])
                    if not stopped and len(texts[row]) < room[row]:
                        going.append(place)
            if not going or step + 1 == new:
                break
            if len(going) < len(alive):
                kept = torch.tensor(going, device=self.engine.device)
                state.select(kept)
                tokens, alive = tokens[kept], [alive[place] for place in going]
            state.logits = self._forward(state, tokens[:, None], None, keep=1)[:, -1]
        answers = [self._text(text).split(self.stop)[0] for text in texts]
        return answers, sum(map(len, texts))

    def _stopped(self, ids: list[int]) -> bool:
        return self.stop in self._text(ids)

    def _text(self, ids: list[int]) -> str:
        return self.engine.decode_texts([ids])[0]

    # ---------------------------------------------------------------------------------- passes
    def _after_questions(self, rows: list[Row], new: int) -> State:
        """The state after prefix and question of each row, with room for `new` tokens."""
        prefixes = list(dict.fromkeys(prefix for prefix, _ in rows))
        number = {prefix: n for n, prefix in enumerate(prefixes)}
        ids, mask = self._padded(prefixes, left=True)
        questions, present = self._padded([row.question for _, row in rows], left=True)
        cache = buffer_cache(self.engine.model.config, ids.shape[1] + questions.shape[1] + new)
        empty = torch.zeros(len(prefixes), 0, dtype=mask.dtype, device=self.engine.device)
        start = torch.full((len(prefixes), 1), -1, device=self.engine.device)
        state = State(cache, empty, torch.empty(0), start)
        state.logits = self._forward(state, ids, mask, keep=1)[:, -1]
        state.select(torch.tensor([number[p] for p, _ in rows], device=self.engine.device))
        state.logits = self._forward(state, questions, present, keep=1)[:, -1]
        return state

    def _forward(
        self, state: State, ids: torch.Tensor, mask: torch.Tensor | None, keep: int
    ) -> torch.Tensor:
        """Logits of the last `keep` (0 = all) of `ids` (rows, new); `state` moves behind them."""
        if mask is None:
            mask = torch.ones_like(ids)
        positions = state.position + mask.cumsum(-1)
        state.mask = torch.cat([state.mask, mask], dim=1)
        output = self.engine.model(
            input_ids=ids, attention_mask=state.mask, position_ids=positions.clamp(min=0),
            past_key_values=state.cache, use_cache=True, logits_to_keep=keep,
        )  # fmt: skip
        state.position = positions[:, -1:]
        logits: torch.Tensor = output.logits
        return logits

    def _padded(self, texts: Sequence[Ids], left: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (texts, width) padded on one side, and the mask: 1 where a token stands."""
        width, device = max(1, *map(len, texts)), self.engine.device
        ids = torch.zeros(len(texts), width, dtype=torch.long, device=device)
        mask = torch.zeros_like(ids)
        for n, text in enumerate(texts):
            place = slice(width - len(text), width) if left else slice(0, len(text))
            ids[n, place] = torch.tensor(text, device=device)
            mask[n, place] = 1
        return ids, mask
