"""Prompt texts and the parsers of what comes back.

A teacher sees tagged instructions and answers with a short reason and one new tagged instruction
(Montessori-Instruct, arXiv 2410.14208, appendix; method: the last tag pair counts).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from jinja2 import Template

#: The lab's instruction prompt; data/micro/prompts/instruction.jinja holds the same text.
LAB_INSTRUCTION = (
    "Write one new instruction.\n{% for example in examples %}{{ example }}\n{% endfor %}"
)

_INSTRUCTION = re.compile(r"<instruction>((?:(?!</?instruction>).)*)</instruction>", re.DOTALL)
_FOLLOW_UP = re.compile(r"\s*<follow-up>((?:(?!</?follow-up>).)*)</follow-up>", re.DOTALL)


def tagged(turns: Sequence[str]) -> str:
    """One or two user turns in tags: an instruction line and, for a second turn, a follow-up line.

    Raises ValueError for no turn and for more than two.
    """
    if not 1 <= len(turns) <= 2:
        raise ValueError(f"an example has one or two user turns, not {len(turns)}")
    names = ("instruction", "follow-up")
    return "\n".join(f"<{n}>{turn}</{n}>" for n, turn in zip(names, turns, strict=False))


@lru_cache(maxsize=8)
def _compiled(template: str) -> "Template":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(template)


def render_instruction_prompt(examples: Sequence[str], template: str = LAB_INSTRUCTION) -> str:
    """The user turn that asks for a new instruction, from already tagged `examples`.

    `template` is jinja text; it sees one name, `examples`. Raises MontessoriError when the template
    is no valid jinja or uses another name.
    """
    from jinja2 import TemplateError

    try:
        return _compiled(template).render(examples=list(examples))
    except TemplateError as error:
        raise MontessoriError(
            f"the instruction template does not render: {error}",
            where="params.yaml, key instruction.template",
            expected="jinja text that uses the name `examples`, a list of tagged instructions",
            next="compare with data/micro/prompts/instruction.jinja",
        ) from error


def load_template(path: Path) -> str:
    """The text of an instruction template, checked: two examples in must come out in order.

    Raises MontessoriError when the file is missing or does not show every example.
    """
    if not path.is_file():
        raise MontessoriError(
            "the instruction template is missing",
            where=str(path),
            expected="a jinja text file",
            next="set instruction.template in params.yaml to an existing file",
        )
    template = path.read_text(encoding="utf-8")
    probes = ["<instruction>first</instruction>", "<instruction>second</instruction>"]
    text = render_instruction_prompt(probes, template)
    places = [text.find(probe) for probe in probes]
    if not -1 < places[0] < places[1]:
        raise MontessoriError(
            "the instruction template does not show its examples",
            where=str(path),
            expected="every element of `examples`, as it is and in order",
            next="compare with data/micro/prompts/instruction.jinja",
        )
    return template


@dataclass(frozen=True)
class Written:
    """What was read from a teacher's raw text: one or two user turns, or why there are none."""

    turns: tuple[str, ...]
    problem: str | None = None


def parse_instruction(raw: str) -> Written:
    """The last instruction of a teacher's text, with the follow-up right after it if there is one.

    Text inside the tags is kept as written but for white space at its ends. `problem` is
    "no tags" (no closed pair) or "empty" (nothing inside a pair).
    """
    pairs = list(_INSTRUCTION.finditer(raw))
    if not pairs:
        return Written((), "no tags")
    last = pairs[-1]
    turns = [last.group(1).strip()]
    follow_up = _FOLLOW_UP.match(raw, last.end())
    if follow_up is not None:
        turns.append(follow_up.group(1).strip())
    return Written(tuple(turns)) if all(turns) else Written((), "empty")


def well_formed(raw: str) -> bool:
    """Whether a teacher's text keeps the format: one instruction and nothing behind its tags."""
    found = list(_INSTRUCTION.finditer(raw))
    if len(found) != 1 or raw.count("<instruction>") != 1:
        return False
    follow_up = _FOLLOW_UP.match(raw, found[0].end())
    return not raw[(follow_up or found[0]).end() :].strip()
