"""Waves: a teacher writes instructions from examples, they are filtered, it answers them.

Wave k shows rows kept in the waves before it; filters run at its end in row order. A wave is a
resumable part, so what is written depends neither on batches nor on interruptions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from montessori.artifacts.dialogue import Turns, build_dialogue, build_prompts
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

    def open_dialogue(self) -> list[dict[str, str]]:
        """The dialogue so far: the user turns with a response, and the next one."""
        return build_dialogue(self.turns[: len(self.responses) + 1], self.responses)

    def as_row(self) -> dict[str, object]:
        """The sample as a row of a part; a dropped one has no dialogue."""
        kept = self.dropped is None
        prompt_id = row_id("prompt", str(self.prompt_index), self.prompt)
        return {
            "row_id": row_id(prompt_id, str(self.sample), self.raw, *self.responses),
            "messages": self.open_dialogue() if kept else [],
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

    `stage` ("probe", "synth") and `seed` make the random numbers; `eval_keys` are contents of lab
    eval items; `open_engine` is called when a wave is not on disk yet.
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

    def write_waves(self, prompts: int) -> Iterator[pl.DataFrame]:
        """The waves of `prompts` prompts as PART tables, finished ones from disk."""
        size = self.instruction.wave
        for wave, start in enumerate(range(0, prompts, size)):
            indices = range(start, min(start + size, prompts))
            if self.parts.find_part(wave):
                frame = self.parts.read_part(wave)
            else:
                rows = [draft.as_row() for draft in self._write_drafts(indices)]
                frame = pl.DataFrame(rows, schema=PART)
                self.parts.write_part(wave, frame)
            self._remember_rows(frame)
            yield frame

    def _remember_rows(self, frame: pl.DataFrame) -> None:
        """Count a wave's rows as earlier ones for all later waves."""
        for raw, dropped in frame.select("raw", "dropped").iter_rows():
            # An instruction that passed the filters is not written again, even if the teacher's
            # response to it was dropped; only whole rows become examples.
            if dropped is None or dropped.startswith(RESPONSE):
                turns = parse_instruction(raw).turns
                self.keeper.add(turns)
                if dropped is None:
                    self.kept.append(turns)

    def _write_drafts(self, indices: range) -> list[Draft]:
        """Write one wave: the instructions of its prompts, then responses turn by turn."""
        engine = self.open_engine()
        drafts = self._write_instructions(engine, indices)
        for draft in drafts:
            if draft.dropped is None:
                self._filter_draft(draft)
        turns = max((len(draft.turns) for draft in drafts if draft.dropped is None), default=0)
        for turn in range(turns):
            unanswered = [d for d in drafts if d.dropped is None and len(d.turns) > turn]
            self._write_responses(engine, unanswered, turn)
        return drafts

    def _write_instructions(self, engine: Engine, indices: range) -> list[Draft]:
        """All samples of the prompts, parsed, in order (prompt, sample)."""
        params = self.instruction
        counts = (params.seed_examples, params.kept_examples)
        prompts = []
        for index in indices:
            randomness = (self.seed, self.stage, index)
            examples = draw_examples(self.seeds, self.kept, counts, randomness)
            prompts.append(render_instruction_prompt(examples, self.template))
        requests = []
        for index, ids in zip(indices, engine.render_prompts(build_prompts(prompts)), strict=True):
            seeds = (self._draw_seed("instruction", index, k) for k in range(params.samples))
            requests.append(Request(ids, tuple(seeds)))
        drafts = []
        for out in engine.generate(requests, make_sampling(params)):
            index, prompt = indices[out.request], prompts[out.request]
            drafts.append(_read_draft(index, prompt, out, engine.special_texts))
        return drafts

    def _filter_draft(self, draft: Draft) -> None:
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

    def _write_responses(self, engine: Engine, drafts: list[Draft], turn: int) -> None:
        """Answer user turn `turn` of each draft."""
        prompts = engine.render_prompts([draft.open_dialogue() for draft in drafts])
        requests = []
        for draft, ids in zip(drafts, prompts, strict=True):
            seed = self._draw_seed("response", draft.prompt_index, draft.sample, turn)
            requests.append(Request(ids, (seed,)))
        answers = engine.generate(requests, make_sampling(self.response))
        for draft, answer in zip(drafts, answers, strict=True):
            draft.responses.append(answer.text.strip())
            draft.response_tokens += answer.tokens
            problem = find_text_problem(answer, engine.special_texts)
            if problem is None and not answer.text.strip():
                problem = "empty"
            problem = problem or self.keeper.response_problem(answer.text)
            if problem is not None:
                draft.dropped = RESPONSE + problem

    def _draw_seed(self, kind: str, *index: int) -> int:
        return seed_of(self.seed, kind, self.stage, *index)


def find_text_problem(out: Generated, specials: Sequence[str]) -> str | None:
    """ "endless" for text that was cut off, "special token" for text that holds one, or None."""
    if not out.finished:
        return "endless"
    return "special token" if any(token in out.text for token in specials) else None


def make_sampling(params: InstructionParams | ResponseParams) -> Sampling:
    """The sampling that a section asks for."""
    return Sampling(
        max_new_tokens=params.max_new_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        presence_penalty=params.presence_penalty,
    )


def _read_draft(prompt_index: int, prompt: str, out: Generated, specials: Sequence[str]) -> Draft:
    written = parse_instruction(out.text)
    problem = find_text_problem(out, specials) or written.problem
    turns = () if problem else written.turns
    return Draft(
        prompt_index, prompt, out.sample, out.text, out.tokens, turns=turns, dropped=problem
    )
