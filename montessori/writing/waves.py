"""Waves: a teacher writes instructions from examples, they are filtered, it answers them.

Wave k shows rows kept in the waves before it; filters run at its end in row order. A wave is a
resumable part, so what is written depends neither on batches nor on interruptions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from montessori.artifacts.dialogue import Turns
from montessori.artifacts.files import row_id
from montessori.artifacts.schemas import PROBE
from montessori.filters.keeper import Keeper
from montessori.generate import Engine, Generated, Request, Sampling
from montessori.pipeline.parts import Parts
from montessori.seeding import seed_of
from montessori.worlds import find_task
from montessori.writing.examples import draw_examples
from montessori.writing.prompts import parse_instruction, render_instruction_prompt
from montessori.writing.settings import InstructionParams, ResponseParams

#: Rows of a part: a probe's columns and the tokens of the raw instruction text.
PART = {**PROBE, "instruction_tokens": pl.Int64}
#: Start of the reasons for which a row is dropped after its instruction passed the filters.
RESPONSE = "response "


@dataclass
class Draft:
    """One sample on its way to a row."""

    prompt_index: int
    prompt: str
    sample: int
    raw: str
    tokens: int
    turns: Turns = ()
    responses: list[str] = field(default_factory=list)
    response_tokens: int = 0
    skill: str | None = None
    dropped: str | None = None

    def messages(self) -> list[dict[str, str]]:
        """The dialogue so far: user turns as far as they are answered, and the next one."""
        texts: list[str] = []
        for i, turn in enumerate(self.turns[: len(self.responses) + 1]):
            texts += [turn, *self.responses[i : i + 1]]
        return [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]

    def row(self) -> dict[str, object]:
        """The sample as a row of a part; a dropped one has no dialogue."""
        kept = self.dropped is None
        prompt_id = row_id("prompt", str(self.prompt_index), self.prompt)
        return {
            "row_id": row_id(prompt_id, str(self.sample), self.raw, *self.responses),
            "messages": self.messages() if kept else [],
            "instruction": "\n\n".join(self.turns) if kept else "",
            "response": "\n\n".join(self.responses) if kept else "",
            "skill": self.skill if kept else None,
            "prompt_id": prompt_id,
            "sample": self.sample,
            "prompt": self.prompt,
            "raw": self.raw,
            "dropped": self.dropped,
            "response_tokens": self.response_tokens,
            "instruction_tokens": self.tokens,
        }


@dataclass
class Writer:
    """All that a teacher needs to write waves.

    `stage` ("probe", "synth") and `seed` make the random numbers; `eval_keys` are contents of
    lab eval items; `open_engine` is called when a wave really has to be written.
    """

    open_engine: Callable[[], Engine]
    stage: str
    seed: int
    template: str
    seeds: Sequence[Turns]
    instruction: InstructionParams
    response: ResponseParams
    keeper: Keeper
    parts: Parts
    eval_keys: frozenset[str] = frozenset()
    kept: list[Turns] = field(default_factory=list)

    def waves(self, prompts: int) -> Iterator[pl.DataFrame]:
        """The waves of `prompts` prompts as PART tables, finished ones from disk."""
        size = self.instruction.wave
        for wave, start in enumerate(range(0, prompts, size)):
            indices = range(start, min(start + size, prompts))
            if self.parts.find_part(wave):
                frame = self.parts.read_part(wave)
            else:
                rows = [draft.row() for draft in self._write(indices)]
                frame = pl.DataFrame(rows, schema=PART)
                self.parts.write_part(wave, frame)
            self._remember(frame)
            yield frame

    def _remember(self, frame: pl.DataFrame) -> None:
        """Take over a wave's rows: they count as earlier for all later waves."""
        for raw, dropped in frame.select("raw", "dropped").iter_rows():
            if dropped is None or dropped.startswith(RESPONSE):
                turns = parse_instruction(raw).turns
                self.keeper.add(turns)
                if dropped is None:
                    self.kept.append(turns)

    def _write(self, indices: range) -> list[Draft]:
        engine = self.open_engine()
        special = engine.special_texts
        drafts = self._instructions(engine, indices, special)
        for draft in drafts:
            if draft.dropped is None:
                self._filter(draft)
        survivors = [draft for draft in drafts if draft.dropped is None]
        for turn in range(max((len(draft.turns) for draft in survivors), default=0)):
            asked = [d for d in survivors if d.dropped is None and len(d.turns) > turn]
            self._respond(engine, asked, turn, special)
        return drafts

    def _instructions(
        self, engine: Engine, indices: range, special: tuple[str, ...]
    ) -> list[Draft]:
        """All samples of the prompts, parsed, in order (prompt, sample)."""
        params = self.instruction
        counts = (params.seed_examples, params.kept_examples)
        prompts = [
            render_instruction_prompt(
                draw_examples(self.seeds, self.kept, counts, (self.seed, self.stage, i)),
                self.template,
            )
            for i in indices
        ]
        dialogues = [[{"role": "user", "content": prompt}] for prompt in prompts]
        requests = [
            Request(asked, tuple(self._seed("instruction", i, k) for k in range(params.samples)))
            for i, asked in zip(indices, engine.render_prompts(dialogues), strict=True)
        ]
        return [
            _draft(indices[out.request], prompts[out.request], out, special)
            for out in engine.generate(requests, _sampling(params))
        ]

    def _filter(self, draft: Draft) -> None:
        """Apply the filters to one draft; if it passes, later drafts are compared with it."""
        draft.dropped = self.keeper.problem(draft.turns)
        if draft.dropped is not None:
            return
        task = find_task(draft.turns)
        if task is not None:
            draft.skill = task.skill
            if task.key in self.eval_keys:
                draft.dropped = "eval item"
                return
        self.keeper.add(draft.turns)

    def _respond(
        self, engine: Engine, drafts: list[Draft], turn: int, special: tuple[str, ...]
    ) -> None:
        """Answer user turn `turn` of each draft."""
        prompts = engine.render_prompts([draft.messages() for draft in drafts])
        requests = [
            Request(asked, (self._seed("response", d.prompt_index, d.sample, turn),))
            for d, asked in zip(drafts, prompts, strict=True)
        ]
        answers = engine.generate(requests, _sampling(self.response))
        for draft, answer in zip(drafts, answers, strict=True):
            draft.responses.append(answer.text.strip())
            draft.response_tokens += answer.tokens
            problem = _text_problem(answer, special)
            if problem is None and not answer.text.strip():
                problem = "empty"
            problem = problem or self.keeper.response_problem(answer.text)
            if problem is not None:
                draft.dropped = RESPONSE + problem

    def _seed(self, kind: str, *index: int) -> int:
        return seed_of(self.seed, kind, self.stage, *index)


def _draft(prompt_index: int, prompt: str, out: Generated, special: tuple[str, ...]) -> Draft:
    written = parse_instruction(out.text)
    problem = _text_problem(out, special) or written.problem
    turns = () if problem else written.turns
    return Draft(
        prompt_index, prompt, out.sample, out.text, out.tokens, turns=turns, dropped=problem
    )


def _text_problem(out: Generated, special: tuple[str, ...]) -> str | None:
    """ "endless" for text that was cut off, "special token" for text that holds one."""
    if not out.finished:
        return "endless"
    return "special token" if any(token in out.text for token in special) else None


def _sampling(params: InstructionParams | ResponseParams) -> Sampling:
    return Sampling(
        max_new_tokens=params.max_new_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        presence_penalty=params.presence_penalty,
    )
