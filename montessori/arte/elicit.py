"""A teacher writes questions of tasks and rationales to them, in resumable waves.

A task's prompt is the same in every call; the calls differ by their seeds. After each wave the new
questions pass the filters, in order, and get one rationale for each reasoning prompt.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from montessori.arte.prompts import Asked, Prompts, parse_questions, shown
from montessori.arte.settings import ElicitParams
from montessori.arte.tasks import Task
from montessori.artifacts import DRAFTS, row_id
from montessori.filters.contamination import EvalItems
from montessori.filters.keeper import Keeper
from montessori.generate import Engine, Generated, Request, Sampling
from montessori.icl.answers import tagged_answer
from montessori.parts import Parts
from montessori.seeding import seed_of
from montessori.writing.lab import task_of

#: Rows of a part: drafts, with the tokens of the call that wrote the question (its first row).
PART = {**DRAFTS, "question_tokens": pl.Int64}
#: Begins the reasons for which a row is dropped after its question passed the filters.
RATIONALE = "rationale "


@dataclass(frozen=True)
class Draft:
    """A question on its way: its call, its place there, why it is dropped."""

    task: Task
    call: int
    place: int
    asked: Asked
    tokens: int
    dropped: str | None = None


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

    def task(self, number: int, task: Task, wanted: int, attempts: float) -> Iterator[pl.DataFrame]:
        """Waves of PART rows until `wanted` questions have a kept rationale, or no more attempts.

        `number` is the task's place in the job; finished waves come from disk.
        """
        keeper, kept, calls = self.keeper(task), 0, 0
        most = max(1, round(attempts * wanted / self.settings.per_call))
        wave = 0
        while kept < wanted and calls < most:
            size = min(self.settings.wave, most - calls)
            part = number * 10_000 + wave
            if self.parts.done(part):
                frame = self.parts.read(part)
            else:
                frame = self._write(task, range(calls, calls + size), keeper)
                self.parts.write(part, frame)
            _remember(keeper, frame)
            kept += questions_kept(frame)
            calls, wave = calls + size, wave + 1
            yield frame

    def _write(self, task: Task, calls: range, keeper: Keeper) -> pl.DataFrame:
        engine = self.open_engine()
        drafts = self._questions(engine, task, calls)
        checked = [self._checked(draft, keeper) for draft in drafts]
        rows = [self._row(draft, 0, None) for draft in checked if draft.dropped is not None]
        passed = [draft for draft in checked if draft.dropped is None]
        return pl.DataFrame(rows + self._rationales(engine, passed), schema=PART)

    def _questions(self, engine: Engine, task: Task, calls: range) -> list[Draft]:
        prompt = engine.prompts(shown([self.prompts.question_prompt(task)]))[0]
        seeds = tuple(seed_of(self.seed, "question", self.stage, task.name, c) for c in calls)
        params = self.settings
        sampling = Sampling(params.max_new_tokens, params.temperature, params.top_p)
        drafts = []
        for out in engine.generate([Request(prompt, seeds)], sampling):
            drafts += self._read(task, calls[out.sample], out, engine.specials)
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
        known = task_of(turns)
        key = None if known is None else known[1]
        if key in self.eval_keys:
            return "eval item"
        items, keys = self.held_out
        return "held out" if key in keys or items.asked(turns) is not None else None

    def _rationales(self, engine: Engine, drafts: Sequence[Draft]) -> list[dict[str, object]]:
        asked = [(draft, n, text) for draft in drafts
                 for n, text in enumerate(self.reasoning(draft.task))]  # fmt: skip
        prompts = [self.prompts.rationale_prompt(d.task, d.asked.input, t) for d, _, t in asked]
        requests = [
            Request(prompt, (self._seed_of_rationale(draft, style),))
            for (draft, style, _), prompt in zip(asked, engine.prompts(shown(prompts)), strict=True)
        ]
        sampling = Sampling(self.settings.rationale_max_new_tokens, self.temperature)
        answers = engine.generate(requests, sampling)
        return [
            self._row(draft, style, answer, engine.specials)
            for (draft, style, _), answer in zip(asked, answers, strict=True)
        ]

    def _seed_of_rationale(self, draft: Draft, style: int) -> int:
        place = (draft.task.name, draft.call, draft.place, style)
        return seed_of(self.seed, "rationale", self.stage, *place)

    def _row(
        self, draft: Draft, style: int, answer: Generated | None, specials: tuple[str, ...] = ()
    ) -> dict[str, object]:
        """A row of a part: a question with one rationale, or a dropped question."""
        task, asked = draft.task, draft.asked
        text = "" if answer is None else answer.text.strip()
        dropped = draft.dropped if answer is None else _rationale_problem(answer, specials)
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


def _rationale_problem(answer: Generated, specials: tuple[str, ...]) -> str | None:
    if not answer.finished:
        return RATIONALE + "endless"
    if any(token in answer.text for token in specials):
        return RATIONALE + "special token"
    return None if tagged_answer(answer.text) is not None else RATIONALE + "no answer"


def _remember(keeper: Keeper, frame: pl.DataFrame) -> None:
    """Questions that passed count as earlier for later waves, also where they come from disk."""
    passed = pl.col("dropped").is_null() | pl.col("dropped").str.starts_with(RATIONALE)
    for text in frame.filter(passed)["instruction"].unique(maintain_order=True):
        keeper.add((text,))
