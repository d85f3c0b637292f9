"""A student's answers to questions after demonstrations, each demonstration read once.

The prefix (the demonstration) runs through the model once; its keys and values are repeated for
the questions. Then either the answers' likelihoods are read from one forward pass (`read_answers`,
`judge_answers`) or the student writes (`write_answers`): the same numbers as asking each question
by itself, up to rounding (see `passes`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import torch

from montessori.errors import MontessoriError
from montessori.generate.transformers_engine import TransformersEngine
from montessori.models.padding import pad_with_mask
from montessori.pipeline.workers import Workers
from montessori.signals.icl.passes import Reader, Row, State, longest_answer
from montessori.signals.icl.tokens import Group, Ids, QuestionTokens

if TYPE_CHECKING:
    from montessori.pipeline.machine import Machine

Result = TypeVar("Result")
Counted = tuple[list[Result], int]  # of a chunk, and the tokens read or written for its answers


@dataclass(frozen=True)
class Reading:
    """How likely a student gives one of the answers to a question.

    `greedy`: one of the answers is what the student writes greedily, and it stops there.
    `logprobs`: the summed log-probability of each answer's tokens, in nats, without the stop.
    `probability`: that the student, sampling at temperature 1, states one of the answers and stops.
    """

    greedy: bool
    logprobs: tuple[float, ...]
    probability: float


@dataclass(frozen=True)
class Form:
    """How likely one way to state an answer is: `greedy` as in Reading, the log-probability of its
    tokens and that of stopping after them, both in nats."""

    greedy: bool
    logprob: float
    stop: float


class Student:
    """A causal language model that answers plain text; `stop` is the text that ends an answer.

    `tokens` counts what it has read and written so far: a demonstration once, padding not at all.
    """

    def __init__(self, engine: TransformersEngine, stop: str) -> None:
        self.engine = engine
        self.tokens = 0
        self.tokenizer = engine.tokenizer
        pieces = self._token_texts()
        # A token that begins like `stop` ends an answer: nothing else may begin like it.
        begin = {i for i, text in enumerate(pieces) if text[:1] == stop[:1]}
        self.end_ids = engine.end_ids | begin
        self.ends = torch.tensor(sorted(self.end_ids), device=engine.device)
        self.stop = stop
        self.closing = {i for i, text in enumerate(pieces) if stop[-1] in text}
        self._reader = Reader(engine)
        self._workers = Workers(self, engine.threads, engine.device)

    @classmethod
    def open(cls, folder: Path, machine: "Machine", stop: str) -> Self:
        """The student in `folder`. Raises MontessoriError when it holds no usable model."""
        return cls(TransformersEngine.open(folder, machine), stop)

    def _token_texts(self) -> list[str]:
        """The text of each token by itself."""
        ids = [[i] for i in range(len(self.tokenizer))]
        return self.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)

    # --------------------------------------------------------------------------------- answering
    def read_answers(self, groups: Sequence[Group]) -> list[list[Reading]]:
        """A reading for each question of each group."""
        return self._answer_chunks(groups, Student.read_chunk)

    def judge_answers(self, groups: Sequence[Group]) -> list[list[bool]]:
        """`Reading.greedy` alone: answers that begin unlike the student's are not read."""
        return self._answer_chunks(groups, Student.judge_chunk)

    def write_answers(self, groups: Sequence[Group], max_new_tokens: int) -> list[list[str]]:
        """What the student writes greedily after each question, up to `stop` or its context."""
        work = partial(Student.write_chunk, new=max_new_tokens)
        return self._answer_chunks(groups, work, max_new_tokens)

    def _answer_chunks(
        self,
        groups: Sequence[Group],
        work: Callable[["Student", list[Row]], Counted[Result]],
        new: int = 0,
    ) -> list[list[Result]]:
        """`work` on chunks of questions; results in the order of `groups` and their questions.

        `new` is how many tokens are written after a question, at most.
        """
        # The longest prefixes go first: chunks then hold prefixes of like length, and memory runs
        # out at once if it does at all.
        order = sorted(range(len(groups)), key=lambda g: (-len(groups[g].prefix), g))
        rows: list[Row] = []
        for number in order:
            prefix, questions = groups[number]
            rows += [(prefix, question) for question in questions]
            self.tokens += len(prefix) + sum(len(question.question) for question in questions)
        self._require_room(rows)
        chunks = self._reader.split_rows(rows, new)
        chunk_rows = [[rows[i] for i in chunk] for chunk in chunks]
        results: dict[int, Result] = {}  # by the number of the row
        answered = self._workers.map_batches(work, chunk_rows)
        for chunk, (chunk_results, tokens) in zip(chunks, answered, strict=True):
            results |= zip(chunk, chunk_results, strict=True)
            self.tokens += tokens
        in_group: list[list[Result]] = [[] for _ in groups]
        rest = (results[i] for i in range(len(rows)))
        for number in order:
            in_group[number] = [next(rest) for _ in groups[number].questions]
        return in_group

    @property
    def parameters(self) -> int:
        """How many parameters the model has."""
        return int(self.engine.model.num_parameters())

    def _require_room(self, rows: list[Row]) -> None:
        """Raise MontessoriError when a text is longer than the student's context."""
        longest = 0
        for prefix, row in rows:
            answer = max(map(len, row.answers), default=1)
            longest = max(longest, len(prefix) + len(row.question) + answer)
        if longest > self.engine.limit:
            raise MontessoriError(
                f"demonstration and question have {longest} tokens, more than the student reads",
                where=f"{self.tokenizer.name_or_path}, context {self.engine.limit}",
                expected="one demonstration, one question and its answer within the context",
                next="lower elicit.rationale_max_new_tokens or filter.max_characters, drop tasks "
                "with long questions, or take another student",
            )

    # --------------------------------------------------------------------------------- reading
    def read_chunk(self, rows: list[Row]) -> Counted[Reading]:
        """A reading for each row of a chunk."""
        state = self._reader.read_questions(rows, new=longest_answer(rows) + 1)
        owners: list[int] = []  # the row of each answer
        answers: list[Ids] = []
        for number, (_, row) in enumerate(rows):
            owners += [number] * len(row.answers)
            answers += row.answers
        state.select_rows(torch.tensor(owners, device=self.engine.device))
        forms = iter(self._read_forms(state, answers))
        readings = []
        for _, row in rows:
            readings.append(self._combine_forms(row, [next(forms) for _ in row.answers]))
        return readings, state.again + sum(map(len, answers))

    def _combine_forms(self, row: QuestionTokens, forms: list[Form]) -> Reading:
        """The answers of a question together."""
        stated = []
        for answer, form in zip(row.answers, forms, strict=True):
            # An answer that goes on where another one may stop is part of that one's probability.
            if not self._continues_another(answer, row.answers):
                stated.append(math.exp(form.logprob + form.stop))
        return Reading(
            greedy=any(form.greedy for form in forms),
            logprobs=tuple(form.logprob for form in forms),
            probability=sum(stated),
        )

    def _continues_another(self, answer: Ids, answers: Sequence[Ids]) -> bool:
        for other in answers:
            end = len(other)
            if end < len(answer) and answer[:end] == other and answer[end] in self.end_ids:
                return True
        return False

    def judge_chunk(self, rows: list[Row]) -> Counted[bool]:
        """Whether the student's greedy answer is right, for each row of a chunk."""
        state = self._reader.read_questions(rows, new=longest_answer(rows) + 1)
        first = state.logits.argmax(-1).tolist()
        owners: list[int] = []  # the row of each answer
        answers: list[Ids] = []
        for number, (_, row) in enumerate(rows):
            # Any other answer begins unlike what the student writes.
            possible = [answer for answer in row.answers if answer[0] == first[number]]
            owners += [number] * len(possible)
            answers += possible
        if not answers:
            return [False] * len(rows), state.again
        state.select_rows(torch.tensor(owners, device=self.engine.device))
        right = [False] * len(rows)
        for number, form in zip(owners, self._read_forms(state, answers), strict=True):
            right[number] |= form.greedy
        return right, state.again + sum(map(len, answers))

    def _read_forms(self, state: State, answers: list[Ids]) -> list[Form]:
        """How likely the rows of `state` go on with each answer."""
        ids, present = pad_with_mask(answers, 0, self.engine.device)  # (forms, width)
        before = state.logits[:, None]  # (forms, 1, vocabulary)
        after = self._reader.read_answers(state, ids, present)  # (forms, width, vocabulary)
        logits = torch.cat([before, after], dim=1).float()  # (forms, width + 1, vocabulary)
        best = logits.argmax(-1)  # (forms, width + 1)
        chosen = logits[:, :-1].gather(2, ids[..., None])[..., 0]
        token = chosen - logits[:, :-1].logsumexp(-1)  # (forms, width), log-probabilities
        right = ((best[:, :-1] == ids) | (present == 0)).all(1)  # (forms,)
        # The logits after the last token of each answer say whether the student stops there.
        behind = logits[torch.arange(len(answers)), present.sum(1)]  # (forms, vocabulary)
        right &= torch.isin(behind.argmax(-1), self.ends)
        stop = behind[:, self.ends].logsumexp(-1) - behind.logsumexp(-1)  # (forms,)
        values = (right.tolist(), (token * present).sum(1).tolist(), stop.tolist())
        return [Form(*form) for form in zip(*values, strict=True)]

    # --------------------------------------------------------------------------------- writing
    def write_chunk(self, rows: list[Row], new: int) -> Counted[str]:
        """What is written after each row of a chunk, at most `new` tokens."""
        room = [self.engine.limit - len(prefix) - len(row.question) for prefix, row in rows]
        new = min(new, max(room))
        state = self._reader.read_questions(rows, new)
        texts: list[list[int]] = [[] for _ in rows]
        alive = list(range(len(rows)))  # the rows that the state still holds, in its order
        for step in range(new):
            tokens = state.logits.argmax(-1)  # (alive,)
            for row, token in zip(alive, tokens.tolist(), strict=True):
                if token not in self.engine.end_ids:
                    texts[row].append(token)
            going = [
                place
                for place, (row, token) in enumerate(zip(alive, tokens.tolist(), strict=True))
                if self._goes_on(token, texts[row], room[row])
            ]
            if not going or step + 1 == new:
                break
            if len(going) < len(alive):
                kept = torch.tensor(going, device=self.engine.device)
                state.select_rows(kept)
                tokens, alive = tokens[kept], [alive[place] for place in going]
            state.logits = self._reader.read_tokens(state, tokens[:, None], None, keep=1)[:, -1]
        answers = [self._decode_ids(ids).split(self.stop)[0] for ids in texts]
        return answers, state.again + sum(map(len, texts))

    def _goes_on(self, token: int, written: list[int], room: int) -> bool:
        """Whether a row whose last token is `token` writes another one."""
        if token in self.engine.end_ids or len(written) >= room:
            return False
        # Only a token with the last character of `stop` can complete it; others need no decoding.
        return token not in self.closing or self.stop not in self._decode_ids(written)

    def _decode_ids(self, ids: list[int]) -> str:
        return self.engine.decode_texts([ids])[0]
