"""Asking for instructions: prompts in the format of the settings, samples read by it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from montessori.artifacts.dialogue import build_prompts, user_turns
from montessori.errors import MontessoriError
from montessori.formats.formats import Example, Format
from montessori.formats.tags import Written
from montessori.formats.tokens import require_format, tokenize_prompts
from montessori.generate import Engine, Generated, Prompt, Sampling
from montessori.writing.causes import THINKING_ONLY
from montessori.writing.settings import InstructionParams, ResponseParams

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asker:
    """An engine that is asked for instructions as section `instruction` says."""

    engine: Engine
    form: Format
    params: InstructionParams
    template: str
    sampling: Sampling

    def write_prompt(self, examples: Sequence[Example]) -> str:
        """The prompt that shows examples, as a probe records it."""
        return self.form.write_prompt(examples, self.template, self.engine.tokenizer)

    def render_prompts(self, prompts: Sequence[str]) -> Sequence[Prompt]:
        """Recorded prompts as the engine continues them.

        Raises MontessoriError when none of them fits the context, and warns when some do not.
        """
        if self.form.in_dialogue:
            rendered = self.engine.render_prompts(build_prompts(prompts))
        else:
            rendered = tokenize_prompts(self.form, prompts, self.engine.tokenizer)
        require_room([len(prompt) for prompt in rendered], self.engine.limit, self.params)
        return rendered

    def read_sample(self, out: Generated, prompt: Prompt) -> tuple[str, Written]:
        """The raw text of a sample up to its end, and the instruction in it."""
        raw, finished = self.form.cut_sample(out.text, out.finished, self.sampling.stop)
        cut = replace(out, text=raw, finished=finished)
        problem = find_text_problem(cut, self.engine, prompt)
        return raw, Written((), problem) if problem else self.form.read_instruction(raw)


def open_asker(
    engine: Engine, params: InstructionParams, template: str, seeds: Sequence[Example]
) -> Asker:
    """An asker in the format of the settings; examples come from `seeds`, or are written like them.

    Raises MontessoriError where the engine cannot be asked in that format.
    """
    form = require_format(params.format, engine.tokenizer)
    examples = params.seed_examples + params.kept_examples
    follow_ups = any(len(user_turns(seed)) > 1 for seed in seeds)
    stops = form.find_stops(examples, follow_ups, engine.tokenizer)
    return Asker(engine, form, params, template, make_sampling(params, stops))


def require_room(lengths: Sequence[int], limit: int, params: InstructionParams) -> None:
    """Compare prompts of `lengths` tokens with a context of `limit` tokens, before any is written.

    Raises MontessoriError when all of them fill it, and warns when some leave too little room.
    """
    if not lengths:
        return
    full = sum(length >= limit for length in lengths)
    tight = sum(length + params.max_new_tokens > limit for length in lengths)
    if full == len(lengths):
        raise MontessoriError(
            f"no prompt fits the teacher's context of {limit:,} tokens: "
            f"of {len(lengths)} prompts the shortest has {min(lengths):,}",
            where="params.yaml, section instruction",
            expected="prompts that leave room for an instruction",
            next="lower instruction.seed_examples or instruction.kept_examples, give shorter rows "
            "in sources.seeds, or take a teacher with a longer context",
        )
    if tight:
        LOG.warning(
            "%d of %d prompts leave less than instruction.max_new_tokens (%d) in the teacher's "
            "context of %d tokens, %d of them nothing: their samples are cut off or empty; show "
            "fewer or shorter examples",
            tight,
            len(lengths),
            params.max_new_tokens,
            limit,
            full,
        )


def find_text_problem(out: Generated, engine: Engine, prompt: Prompt) -> str | None:
    """Why the text of a sample behind `prompt` cannot be used, or None.

    A server's refusal by its name, "thinking only" for a thought without an answer, "context" for
    text that the model's context cut off, "endless" for text that the most new tokens cut off,
    "special token" for text that holds one.
    """
    if out.refused:
        return out.refused
    if out.thought and not out.text.strip():
        return THINKING_ONLY
    if not out.finished:
        return "context" if len(prompt) + out.tokens >= engine.limit else "endless"
    return "special token" if any(token in out.text for token in engine.special_texts) else None


def make_sampling(
    params: InstructionParams | ResponseParams, stops: tuple[str, ...] = ()
) -> Sampling:
    """The sampling that a section asks for."""
    return Sampling(
        max_new_tokens=params.max_new_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        presence_penalty=params.presence_penalty,
        stop=stops,
    )
