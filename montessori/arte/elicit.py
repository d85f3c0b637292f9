"""A teacher writes questions of tasks and rationales to them, in resumable waves.

A task's prompt is the same in every call; the calls differ by their seeds. After each wave the new
questions pass the filters of their task, in order, and get one rationale for each reasoning prompt.
Waves of all unfinished tasks are batched together, as many per task as it certainly needs, because
engines are faster on large batches. What a task gets depends neither on the other tasks nor on how
many waves are batched.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import polars as pl

from montessori.arte.prompts import Prompts, WrittenQuestion, parse_questions
from montessori.arte.settings import ElicitParams
from montessori.arte.tasks import Task
from montessori.artifacts.dialogue import build_dialogue, build_prompts
from montessori.artifacts.files import make_table, row_id
from montessori.artifacts.schemas import DRAFTS
from montessori.filters.contamination import EvalItems
from montessori.filters.keeper import Keeper
from montessori.formats.tokens import require_format, tokenize_led
from montessori.generate import Engine, Generated, Prompt, Request, Sampling
from montessori.pipeline.parts import Parts
from montessori.seeding import seed_of
from montessori.signals.icl.answers import tagged_answer
from montessori.worlds import find_task
from montessori.writing.asking import find_text_problem
from montessori.writing.causes import THINKING_ONLY

#: Rows of a part: drafts, with the tokens of the call that wrote the question (its first row).
PART = {**DRAFTS, "question_tokens": pl.Int64, "thinking": pl.Int64}
#: Begins the reasons for which a row is dropped after its question passed the filters.
RATIONALE = "rationale "
#: Waves of a task that are written at once, at most: a stage that is stopped loses so many.
AHEAD = 4


@dataclass(frozen=True)
class Draft:
    """A question on its way to a row: its call, its place in the call, why it is dropped."""

    task: Task
    call: int
    place: int
    question: WrittenQuestion
    tokens: int | None
    dropped: str | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """Task, call and place."""
        return self.task.name, self.call, self.place


@dataclass(frozen=True)
class Attempt:
    """One rationale to ask for: the question, the reasoning prompt and its number."""

    draft: Draft
    style: int
    reasoning: str


@dataclass
class Quota:
    """How many questions a task is to get, and how far it is.

    `number` is the task's place in the job, `wanted` the questions with a kept rationale; no wave
    begins after `most` calls.
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
    def is_open(self) -> bool:
        """Whether the task needs another wave and may have one."""
        return self.kept < self.wanted and self.calls < self.most


@dataclass(frozen=True)
class Wave:
    """A wave of a task: its calls, and its number among the parts of the job."""

    quota: Quota
    calls: range
    part: int


@dataclass
class Elicitor:
    """All that a teacher needs to write questions and rationales.

    `stage` and `seed` make the random numbers; `reasoning` are the reasoning prompts by task,
    `temperature` is that of the rationales, `make_keeper` makes the filters of a task. `eval_keys`
    are contents of lab eval items. `held_out` are the tasks' own validation and test questions,
    compared by their whole text, because the questions of a task often share a long wording, and
    by their contents.
    """

    open_engine: Callable[[], Engine]
    stage: str
    seed: int
    prompts: Prompts
    settings: ElicitParams
    reasoning: Mapping[str, Sequence[str]]
    temperature: float
    make_keeper: Callable[[Task], Keeper]
    eval_keys: frozenset[str]
    held_out: tuple[EvalItems, frozenset[str]]
    parts: Parts

    def write_waves(
        self, tasks: Sequence[Task], wanted: Mapping[str, int], attempts: float
    ) -> Iterator[tuple[Quota, pl.DataFrame]]:
        """Waves of PART rows until each task has its `wanted` questions, or no more attempts.

        The waves of a task come in order, those of all tasks in turn; finished ones come from disk.
        """
        quotas = []
        for number, task in enumerate(tasks):
            most = max(1, round(attempts * wanted[task.name] / self.settings.per_call))
            keeper = self.make_keeper(task)
            quotas.append(Quota(number, task, wanted[task.name], most, keeper))
        # Quotas are asked anew each time: reading a wave below may have filled one.
        while unfinished := [quota for quota in quotas if quota.is_open]:
            missing: list[Wave] = []
            for quota in unfinished:
                missing += self._missing_waves(quota)
            if missing:
                self._write_together(missing)
            for quota in unfinished:
                yield quota, self._take_wave(quota)

    def _next_wave(self, quota: Quota, later: int = 0) -> Wave:
        """The task's next wave, or one `later`.

        A wave is always whole, whatever the limit of calls, so that finished waves fit any limit.
        """
        size = self.settings.wave
        first = quota.calls + later * size
        # The parts of all tasks share one folder of numbers; each task has room for 10,000 waves.
        part = quota.number * 10_000 + quota.waves + later
        return Wave(quota, range(first, first + size), part)

    def _is_done(self, wave: Wave) -> bool:
        return self.parts.find_part(wave.part) is not None

    def _missing_waves(self, quota: Quota) -> Iterator[Wave]:
        """The task's next waves up to a finished one: none, one, or as many as it surely needs.

        A wave gives at most `wave * per_call` questions, and none begins after `most` calls.
        """
        size = self.settings.wave
        needed = _divide_up(quota.wanted - quota.kept, size * self.settings.per_call)
        allowed = _divide_up(quota.most - quota.calls, size)
        waves = (self._next_wave(quota, later) for later in range(min(AHEAD, needed, allowed)))
        # A finished wave has to be read first: what it holds decides how many more are needed.
        return takewhile(lambda wave: not self._is_done(wave), waves)

    def _take_wave(self, quota: Quota) -> pl.DataFrame:
        """The rows of the task's next wave, from disk; the quota moves on."""
        wave = self._next_wave(quota)
        frame = self.parts.read_part(wave.part)
        # For a wave that was just written this adds nothing, because the keeper has its questions.
        _remember_questions(quota.keeper, frame)
        quota.kept += count_questions(frame)
        quota.calls, quota.waves = wave.calls.stop, quota.waves + 1
        return frame

    def _write_together(self, waves: Sequence[Wave]) -> None:
        """Write waves: all questions in one batch, then all rationales in another."""
        engine = self.open_engine()
        drafts_of_wave: list[list[Draft]] = []
        passed: list[Draft] = []
        for wave, drafts in zip(waves, self._write_questions(engine, waves), strict=True):
            filtered = [self._filter_draft(draft, wave.quota.keeper) for draft in drafts]
            drafts_of_wave.append(filtered)
            passed += [draft for draft in filtered if draft.dropped is None]
        keepers = {wave.quota.task.name: wave.quota.keeper for wave in waves}
        rationales = self._write_rationales(engine, passed, keepers)
        for wave, drafts in zip(waves, drafts_of_wave, strict=True):
            rows = [self._make_row(draft, draft.dropped) for draft in drafts if draft.dropped]
            for draft in drafts:
                rows += rationales.get(draft.key, [])
            self.parts.write_part(wave.part, make_table(rows, PART))

    def _write_questions(self, engine: Engine, waves: Sequence[Wave]) -> list[list[Draft]]:
        """The questions of each wave, in the order of its calls."""
        prompts = self._render_questions(engine, [wave.quota.task for wave in waves])
        requests = []
        for wave, prompt in zip(waves, prompts, strict=True):
            origin = ("question", self.stage, wave.quota.task.name)
            seeds = (seed_of(self.seed, *origin, call) for call in wave.calls)
            requests.append(Request(prompt, tuple(seeds)))
        params = self.settings
        sampling = Sampling(params.max_new_tokens, params.temperature, params.top_p)
        drafts: list[list[Draft]] = [[] for _ in waves]
        for out in engine.generate(requests, sampling):
            wave = waves[out.request]
            call = wave.calls[out.sample]
            drafts[out.request] += self._read_drafts(
                wave.quota.task, call, out, engine.special_texts
            )
        return drafts

    def _render_questions(self, engine: Engine, tasks: Sequence[Task]) -> Sequence[Prompt]:
        """The prompts of tasks as the engine continues them, in the format of the settings."""
        prompts = [self.prompts.question_prompt(task) for task in tasks]
        require_format(self.settings.format, engine.tokenizer, "elicit")
        if self.settings.format == "tags":
            return engine.render_prompts(build_prompts(prompts))
        openings = [self.prompts.question_opening(task) for task in tasks]
        return tokenize_led(prompts, openings, engine.tokenizer)

    def _read_drafts(
        self, task: Task, call: int, out: Generated, specials: Sequence[str]
    ) -> list[Draft]:
        """The questions of one call. A text that was cut off still holds whole questions."""
        led = self.settings.format == "prefill"
        text = self.prompts.question_opening(task) + out.text if led else out.text
        questions = parse_questions(text, len(task.seeds) + 1, self.settings.per_call)
        if not questions:
            unread = WrittenQuestion(text, "", "")
            thinking = THINKING_ONLY if out.thought and not out.text else "no tags"
            problem = out.refused or thinking
            drafts = [Draft(task, call, 0, unread, out.known_tokens, problem)]
        else:
            # The first question carries the tokens of the call, so that they are counted once.
            tokens = [out.known_tokens] + [0] * (len(questions) - 1)
            places = range(len(questions))
            drafts = [Draft(task, call, n, questions[n], tokens[n]) for n in places]
        for n, draft in enumerate(drafts):
            if any(special in draft.question.raw for special in specials):
                drafts[n] = replace(draft, dropped="special token")
        return drafts

    def _filter_draft(self, draft: Draft, keeper: Keeper) -> Draft:
        """The draft, dropped if a filter says so; if it passes, later ones are compared with it."""
        if draft.dropped is not None:
            return draft
        turns = (draft.question.input,)
        problem = keeper.problem(turns)
        if problem is None:
            problem = self._find_scored_item(turns)
        if problem is None:
            keeper.add(turns)
        return replace(draft, dropped=problem)

    def _find_scored_item(self, turns: tuple[str, ...]) -> str | None:
        """ "eval item" or "held out" for a question that something is scored with, else None."""
        task = find_task(turns)
        # None, for a question that no world knows, is in no set of keys.
        key = None if task is None else task.key
        if key in self.eval_keys:
            return "eval item"
        items, keys = self.held_out
        return "held out" if key in keys or items.matched_by(turns) is not None else None

    def _write_rationales(
        self, engine: Engine, drafts: Sequence[Draft], keepers: Mapping[str, Keeper]
    ) -> dict[tuple[str, int, int], list[dict[str, object]]]:
        """Rows of each draft by its key: one for each reasoning prompt."""
        attempts: list[Attempt] = []
        for draft in drafts:
            reasoning = self.reasoning[draft.task.name]
            attempts += [Attempt(draft, style, text) for style, text in enumerate(reasoning)]
        prompts = [
            self.prompts.rationale_prompt(a.draft.task, a.draft.question.input, a.reasoning)
            for a in attempts
        ]
        requests = []
        for attempt, prompt in zip(
            attempts, engine.render_prompts(build_prompts(prompts)), strict=True
        ):
            origin = ("rationale", self.stage, *attempt.draft.key, attempt.style)
            requests.append(Request(prompt, (seed_of(self.seed, *origin),)))
        sampling = Sampling(self.settings.rationale_max_new_tokens, self.temperature)
        rows: dict[tuple[str, int, int], list[dict[str, object]]] = {}
        answers = engine.generate(requests, sampling)
        for attempt, request, answer in zip(attempts, requests, answers, strict=True):
            draft = attempt.draft
            problem = find_text_problem(answer, engine, request.prompt)
            problem = _rationale_problem(answer, problem, keepers[draft.task.name])
            row = self._make_row(draft, problem, attempt.style, answer)
            rows.setdefault(draft.key, []).append(row)
        return rows

    def _make_row(
        self, draft: Draft, dropped: str | None, style: int = 0, answer: Generated | None = None
    ) -> dict[str, object]:
        """A row of a part: a question with one rationale, or a dropped question."""
        task, question = draft.task, draft.question
        text = "" if answer is None else answer.text.strip()
        prompt = self.prompts.question_prompt(task)
        question_id = row_id(task.name, str(draft.call), str(draft.place), question.raw)
        return {
            "row_id": row_id(question_id, str(style), text),
            "messages": [] if dropped else build_dialogue([question.input], [text]),
            "instruction": question.input,
            "response": text,
            "skill": task.name,
            "prompt_id": row_id("prompt", task.name, prompt),
            "sample": draft.call,
            "prompt": prompt,
            "raw": question.raw,
            "dropped": dropped,
            "response_tokens": 0 if answer is None else answer.known_tokens,
            "question_id": question_id,
            "target": question.target,
            "style": style,
            "naive": self.prompts.rationale_prompt(task, question.input, self.prompts.naive),
            # A question has a row for each style; its tokens count once.
            "question_tokens": draft.tokens if style == 0 else 0,
            "thinking": int(answer is not None and bool(answer.thought)),
        }


def count_questions(frame: pl.DataFrame) -> int:
    """Questions of a PART or DRAFTS table that have a kept rationale."""
    return frame.filter(pl.col("dropped").is_null())["question_id"].n_unique()


def _divide_up(number: int, size: int) -> int:
    """`number` / `size`, rounded up."""
    return -(-number // size)


def _rationale_problem(answer: Generated, problem: str | None, keeper: Keeper) -> str | None:
    if problem is None and tagged_answer(answer.text) is None:
        problem = "no answer"
    if problem is None:
        problem = keeper.response_problem(answer.text)
    return None if problem is None else RATIONALE + problem


def _remember_questions(keeper: Keeper, frame: pl.DataFrame) -> None:
    """Count questions that passed as earlier ones for later waves, also when read from disk."""
    passed = pl.col("dropped").is_null() | pl.col("dropped").str.starts_with(RATIONALE)
    for text in frame.filter(passed)["instruction"].unique(maintain_order=True):
        keeper.add((text,))
