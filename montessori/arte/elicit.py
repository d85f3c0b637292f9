"""A teacher writes questions of tasks and rationales to them, in resumable waves.

A task's prompt is the same in every call; the calls differ by their seeds. After each wave the new
questions pass the filters of their task, in order, and get one rationale for each reasoning prompt.
The waves of all tasks that go on are written together, of each as many as it is sure to need, since
an engine is quicker with many texts at once. What a task gets depends neither on the others nor on
how many waves go together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import polars as pl

from montessori.arte.prompts import Asked, Prompts, parse_questions, shown
from montessori.arte.settings import ElicitParams
from montessori.arte.tasks import Task
from montessori.artifacts.files import row_id
from montessori.artifacts.schemas import DRAFTS
from montessori.filters.contamination import EvalItems
from montessori.filters.keeper import Keeper
from montessori.generate import Engine, Generated, Request, Sampling
from montessori.pipeline.parts import Parts
from montessori.seeding import seed_of
from montessori.signals.icl.answers import tagged_answer
from montessori.worlds import find_task

#: Rows of a part: drafts, with the tokens of the call that wrote the question (its first row).
PART = {**DRAFTS, "question_tokens": pl.Int64}
#: Begins the reasons for which a row is dropped after its question passed the filters.
RATIONALE = "rationale "
#: Waves of a task that are written at once, at most: so much is lost when a stage is cut off.
AHEAD = 4


@dataclass(frozen=True)
class Draft:
    """A question on its way: its call, its place there, why it is dropped."""

    task: Task
    call: int
    place: int
    asked: Asked
    tokens: int
    dropped: str | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """Task, call and place."""
        return self.task.name, self.call, self.place


@dataclass
class Share:
    """What a task still gets: its place in the job, its filters, how far it is.

    `wanted` questions with a kept rationale; no wave begins after `most` calls.
    """

    number: int
    task: Task
    wanted: int
    most: int
    keeper: Keeper
    kept: int = 0
    calls: int = 0
    waves: int = 0

    @property
    def open(self) -> bool:
        """Whether it needs another wave and may have one."""
        return self.kept < self.wanted and self.calls < self.most


@dataclass(frozen=True)
class Wave:
    """A wave of a task: its calls, its number among the parts of the job."""

    share: Share
    calls: range
    part: int


@dataclass
class Elicitor:
    """All that it takes to write. `reasoning` gives the reasoning prompts of a task.

    `stage` and `seed` make the random numbers; `keeper` makes the filters of a task;
    `temperature` is that of the rationales. `eval_keys` are contents of lab eval items, `held_out`
    the tasks' own validation and test questions, told by their whole text (the questions of a task
    often share a long wording) and by their contents.
    """

    open_engine: Callable[[], Engine]
    stage: str
    seed: int
    prompts: Prompts
    settings: ElicitParams
    reasoning: Callable[[Task], Sequence[str]]
    temperature: float
    keeper: Callable[[Task], Keeper]
    eval_keys: frozenset[str]
    held_out: tuple[EvalItems, frozenset[str]]
    parts: Parts

    def waves(
        self, tasks: Sequence[Task], wanted: Mapping[str, int], attempts: float
    ) -> Iterator[tuple[Share, pl.DataFrame]]:
        """Waves of PART rows until each task has its `wanted` questions, or no more attempts.

        A task's waves come in order, between those of others; finished ones come from disk.
        """
        shares = [
            Share(number, task, wanted[task.name], self._most(wanted[task.name], attempts),
                  self.keeper(task))
            for number, task in enumerate(tasks)
        ]  # fmt: skip
        while going := [share for share in shares if share.open]:
            missing = [share for share in going if not self._done(self._wave(share))]
            if missing:
                self._write([wave for share in missing for wave in self._ahead(share)])
            for share in going:
                yield share, self._take(share)

    def _most(self, wanted: int, attempts: float) -> int:
        return max(1, round(attempts * wanted / self.settings.per_call))

    def _wave(self, share: Share, later: int = 0) -> Wave:
        """Its next wave, or one `later`; a whole one, so that finished waves fit any limit."""
        size = self.settings.wave
        first = share.calls + later * size
        return Wave(share, range(first, first + size), share.number * 10_000 + share.waves + later)

    def _done(self, wave: Wave) -> bool:
        return self.parts.find_part(wave.part) is not None

    def _ahead(self, share: Share) -> Iterator[Wave]:
        """Its next waves that are not written: one, and more as far as it is sure to need them.

        A wave gives at most `wave * per_call` questions, and none begins after `most` calls.
        """
        size = self.settings.wave
        needed = -(-(share.wanted - share.kept) // (size * self.settings.per_call))
        allowed = -(-(share.most - share.calls) // size)
        waves = (self._wave(share, later) for later in range(min(AHEAD, needed, allowed)))
        return takewhile(lambda wave: not self._done(wave), waves)

    def _take(self, share: Share) -> pl.DataFrame:
        """A finished wave, counted."""
        wave = self._wave(share)
        frame = self.parts.read_part(wave.part)
        _remember(share.keeper, frame)
        share.kept += questions_kept(frame)
        share.calls, share.waves = wave.calls.stop, share.waves + 1
        return frame

    def _write(self, waves: Sequence[Wave]) -> None:
        """Write waves: all questions in one batch, then all rationales in another."""
        engine = self.open_engine()
        written = [
            [self._checked(draft, wave.share.keeper) for draft in drafts]
            for wave, drafts in zip(waves, self._questions(engine, waves), strict=True)
        ]
        passed = [draft for drafts in written for draft in drafts if draft.dropped is None]
        keepers = {wave.share.task.name: wave.share.keeper for wave in waves}
        rationales = self._rationales(engine, passed, keepers)
        for wave, drafts in zip(waves, written, strict=True):
            rows = [self._row(draft, draft.dropped) for draft in drafts if draft.dropped]
            rows += [row for draft in drafts for row in rationales.get(draft.key, ())]
            self.parts.write_part(wave.part, pl.DataFrame(rows, schema=PART))

    def _questions(self, engine: Engine, waves: Sequence[Wave]) -> list[list[Draft]]:
        """The questions of each wave, in the order of its calls."""
        prompts = [self.prompts.question_prompt(wave.share.task) for wave in waves]
        requests = [
            Request(
                prompt,
                tuple(
                    seed_of(self.seed, "question", self.stage, wave.share.task.name, call)
                    for call in wave.calls
                ),
            )
            for wave, prompt in zip(waves, engine.render_prompts(shown(prompts)), strict=True)
        ]
        params = self.settings
        sampling = Sampling(params.max_new_tokens, params.temperature, params.top_p)
        drafts: list[list[Draft]] = [[] for _ in waves]
        for out in engine.generate(requests, sampling):
            wave = waves[out.request]
            call = wave.calls[out.sample]
            drafts[out.request] += self._read(wave.share.task, call, out, engine.special_texts)
        return drafts

    def _read(
        self, task: Task, call: int, out: Generated, specials: tuple[str, ...]
    ) -> list[Draft]:
        """The questions of one call. A text that was cut off still holds whole questions."""
        asked = parse_questions(out.text, len(task.seeds) + 1, self.settings.per_call)
        drafts = [
            Draft(task, call, n, each, out.tokens if n == 0 else 0) for n, each in enumerate(asked)
        ]
        if not drafts:
            drafts = [Draft(task, call, 0, Asked(out.text, "", ""), out.tokens, "no tags")]
        return [
            _with(draft, "special token") if any(s in draft.asked.raw for s in specials) else draft
            for draft in drafts
        ]

    def _checked(self, draft: Draft, keeper: Keeper) -> Draft:
        """The draft, dropped where a filter says so; if it passes, later ones are held to it."""
        if draft.dropped is not None:
            return draft
        turns = (draft.asked.input,)
        problem = keeper.problem(turns)
        if problem is None:
            problem = self._held(turns)
        if problem is None:
            keeper.add(turns)
        return _with(draft, problem)

    def _held(self, turns: tuple[str, ...]) -> str | None:
        """ "eval item" or "held out" for a question that is scored somewhere, else None."""
        known = find_task(turns)
        key = None if known is None else known.key
        if key in self.eval_keys:
            return "eval item"
        items, keys = self.held_out
        return "held out" if key in keys or items.asked(turns) is not None else None

    def _rationales(
        self, engine: Engine, drafts: Sequence[Draft], keepers: Mapping[str, Keeper]
    ) -> dict[tuple[str, int, int], list[dict[str, object]]]:
        """Rows of each draft by its key: one for each reasoning prompt."""
        asked = [(draft, n, text) for draft in drafts
                 for n, text in enumerate(self.reasoning(draft.task))]  # fmt: skip
        prompts = [self.prompts.rationale_prompt(d.task, d.asked.input, t) for d, _, t in asked]
        rendered = engine.render_prompts(shown(prompts))
        requests = [
            Request(prompt, (self._seed_of_rationale(draft, style),))
            for (draft, style, _), prompt in zip(asked, rendered, strict=True)
        ]
        sampling = Sampling(self.settings.rationale_max_new_tokens, self.temperature)
        answers = engine.generate(requests, sampling)
        rows: dict[tuple[str, int, int], list[dict[str, object]]] = {}
        for (draft, style, _), answer in zip(asked, answers, strict=True):
            problem = _rationale_problem(answer, engine.special_texts, keepers[draft.task.name])
            rows.setdefault(draft.key, []).append(self._row(draft, problem, style, answer))
        return rows

    def _seed_of_rationale(self, draft: Draft, style: int) -> int:
        return seed_of(self.seed, "rationale", self.stage, *draft.key, style)

    def _row(
        self, draft: Draft, dropped: str | None, style: int = 0, answer: Generated | None = None
    ) -> dict[str, object]:
        """A row of a part: a question with one rationale, or a dropped question."""
        task, asked = draft.task, draft.asked
        text = "" if answer is None else answer.text.strip()
        prompt = self.prompts.question_prompt(task)
        question = row_id(task.name, str(draft.call), str(draft.place), asked.raw)
        messages = [("user", asked.input), ("assistant", text)]
        return {
            "row_id": row_id(question, str(style), text),
            "messages": [] if dropped else [{"role": r, "content": t} for r, t in messages],
            "instruction": asked.input,
            "response": text,
            "skill": task.name,
            "prompt_id": row_id("prompt", task.name, prompt),
            "sample": draft.call,
            "prompt": prompt,
            "raw": asked.raw,
            "dropped": dropped,
            "response_tokens": 0 if answer is None else answer.tokens,
            "question_id": question,
            "target": asked.target,
            "style": style,
            "naive": self.prompts.rationale_prompt(task, asked.input, self.prompts.naive),
            "question_tokens": draft.tokens if style == 0 else 0,
        }


def questions_kept(frame: pl.DataFrame) -> int:
    """Questions of a PART or DRAFTS table that have a kept rationale."""
    return frame.filter(pl.col("dropped").is_null())["question_id"].n_unique()


def _with(draft: Draft, problem: str | None) -> Draft:
    return Draft(draft.task, draft.call, draft.place, draft.asked, draft.tokens, problem)


def _rationale_problem(answer: Generated, specials: tuple[str, ...], keeper: Keeper) -> str | None:
    if not answer.finished:
        return RATIONALE + "endless"
    if any(token in answer.text for token in specials):
        return RATIONALE + "special token"
    if tagged_answer(answer.text) is None:
        return RATIONALE + "no answer"
    problem = keeper.response_problem(answer.text)
    return None if problem is None else RATIONALE + problem


def _remember(keeper: Keeper, frame: pl.DataFrame) -> None:
    """Questions that passed count as earlier for later waves, also where they come from disk."""
    passed = pl.col("dropped").is_null() | pl.col("dropped").str.starts_with(RATIONALE)
    for text in frame.filter(passed)["instruction"].unique(maintain_order=True):
        keeper.add((text,))
