"""Waves: a teacher writes instructions from examples, they are filtered, it answers them.

Wave k shows rows kept in the waves before it; filters run at its end in row order. A wave is a
resumable part, so what is written depends neither on batches nor on interruptions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from montessori.artifacts.dialogue import Turns, build_dialogue
from montessori.artifacts.files import make_table, row_id
from montessori.artifacts.schemas import PROBE
from montessori.filters.keeper import Keeper
from montessori.formats.formats import FORMATS, Example
from montessori.generate import Engine, Request
from montessori.pipeline.parts import Parts
from montessori.seeding import seed_of
from montessori.worlds import find_task
from montessori.writing.asking import find_text_problem, make_sampling, open_asker
from montessori.writing.examples import draw_examples
from montessori.writing.settings import InstructionParams, ResponseParams

#: Rows of a part: a probe's columns, the tokens of the raw instruction text, and how many of the
#: sample's texts came behind a thought.
PART = {**PROBE, "instruction_tokens": pl.Int64, "thinking": pl.Int64}
#: Start of the reasons for which a row is dropped after its instruction passed the filters.
RESPONSE = "response "


@dataclass
class Draft:
    """One sample on its way to a row."""

    prompt_index: int
    prompt: str
    sample: int
    raw: str
    tokens: int | None
    turns: Turns = ()
    responses: list[str] = field(default_factory=list)
    response_tokens: int | None = 0
    skill: str | None = None
    dropped: str | None = None
    thinking: int = 0

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
            "thinking": self.thinking,
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
    seeds: Sequence[Example]
    instruction: InstructionParams
    response: ResponseParams
    keeper: Keeper
    parts: Parts
    eval_keys: frozenset[str] = frozenset()
    kept: list[Example] = field(default_factory=list)

    def write_waves(self, prompts: int) -> Iterator[pl.DataFrame]:
        """The waves of `prompts` prompts as PART tables, finished ones from disk."""
        size = self.instruction.wave
        for wave, start in enumerate(range(0, prompts, size)):
            indices = range(start, min(start + size, prompts))
            if self.parts.find_part(wave):
                frame = self.parts.read_part(wave)
            else:
                rows = [draft.as_row() for draft in self._write_drafts(indices)]
                frame = make_table(rows, PART)
                self.parts.write_part(wave, frame)
            self._remember_rows(frame)
            yield frame

    def _remember_rows(self, frame: pl.DataFrame) -> None:
        """Count a wave's rows as earlier ones for all later waves."""
        form = FORMATS[self.instruction.format]
        for raw, dropped, messages in frame.select("raw", "dropped", "messages").iter_rows():
            # An instruction that passed the filters is not written again, even if the teacher's
            # response to it was dropped; only whole rows become examples.
            if dropped is None or dropped.startswith(RESPONSE):
                self.keeper.add(form.read_instruction(raw).turns)
                if dropped is None:
                    self.kept.append(messages)

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
        asker = open_asker(engine, self.instruction, self.template, self.seeds)
        prompts = [asker.write_prompt(self._draw_examples(index)) for index in indices]
        samples = range(self.instruction.samples)
        requests = []
        for index, ids in zip(indices, asker.render_prompts(prompts), strict=True):
            seeds = (self._draw_seed("instruction", index, k) for k in samples)
            requests.append(Request(ids, tuple(seeds)))
        drafts = []
        for out in engine.generate(requests, asker.sampling):
            place = out.request
            raw, written = asker.read_sample(out, requests[place].prompt)
            drafts.append(
                Draft(
                    prompt_index=indices[place],
                    prompt=prompts[place],
                    sample=out.sample,
                    raw=raw,
                    tokens=out.known_tokens,
                    turns=written.turns,
                    dropped=written.problem,
                    thinking=int(bool(out.thought)),
                )
            )
        return drafts

    def _draw_examples(self, index: int) -> list[Example]:
        """The examples of a prompt."""
        counts = (self.instruction.seed_examples, self.instruction.kept_examples)
        return draw_examples(self.seeds, self.kept, counts, (self.seed, self.stage, index))

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
        for draft, answer, prompt in zip(drafts, answers, prompts, strict=True):
            draft.responses.append(answer.text.strip())
            draft.response_tokens = _add_known(draft.response_tokens, answer.known_tokens)
            draft.thinking += bool(answer.thought)
            problem = find_text_problem(answer, engine, prompt)
            if problem is None and not answer.text.strip():
                problem = "empty"
            problem = problem or self.keeper.response_problem(answer.text)
            if problem is not None:
                draft.dropped = RESPONSE + problem

    def _draw_seed(self, kind: str, *index: int) -> int:
        return seed_of(self.seed, kind, self.stage, *index)


def _add_known(total: int | None, tokens: int | None) -> int | None:
    """The sum of two counts of tokens; unknown where one of them is."""
    return None if total is None or tokens is None else total + tokens
