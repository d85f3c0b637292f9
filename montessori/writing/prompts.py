"""Prompts that ask for an instruction, and the parser of what a teacher writes.

A teacher sees tagged instructions and answers with a short reason and one new tagged instruction
(Montessori-Instruct, arXiv 2410.14208, appendix; method: the last tag pair counts).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from montessori.artifacts.templates import TemplateKind, read_template, render_template
from montessori.errors import MontessoriError

KIND = TemplateKind(
    label="the instruction template",
    key="instruction.template",
    example="data/micro/prompts/instruction.jinja",
)
#: The lab's instruction prompt; data/micro/prompts/instruction.jinja holds the same text.
LAB_INSTRUCTION = (
    "Write one new instruction.\n{% for example in examples %}{{ example }}\n{% endfor %}"
)

_INSTRUCTION = re.compile(r"<instruction>((?:(?!</?instruction>).)*)</instruction>", re.DOTALL)
_FOLLOW_UP = re.compile(r"\s*<follow-up>((?:(?!</?follow-up>).)*)</follow-up>", re.DOTALL)


def tag_turns(turns: Sequence[str]) -> str:
    """One or two user turns in tags: an instruction line and, for a second turn, a follow-up line.

    Raises ValueError for no turn and for more than two.
    """
    if not 1 <= len(turns) <= 2:
        raise ValueError(f"an example has one or two user turns, not {len(turns)}")
    names = ("instruction", "follow-up")
    return "\n".join(f"<{n}>{turn}</{n}>" for n, turn in zip(names, turns, strict=False))


def render_instruction_prompt(examples: Sequence[str], template: str = LAB_INSTRUCTION) -> str:
    """The user turn that asks for a new instruction, from already tagged `examples`.

    `template` is jinja text that sees one name, `examples`. Raises MontessoriError when the
    template is malformed jinja or uses another name.
    """
    return render_template(template, KIND, examples=list(examples))


def load_template(path: Path) -> str:
    """The text of an instruction template, checked to show two examples in their order.

    Raises MontessoriError when the file is missing or does not show every example.
    """
    template = read_template(path, KIND)
    first, second = tag_turns(["first"]), tag_turns(["second"])
    text = render_instruction_prompt([first, second], template)
    if not -1 < text.find(first) < text.find(second):
        raise MontessoriError(
            "the instruction template does not show its examples",
            where=str(path),
            expected="every element of `examples`, as it is and in order",
            next=f"compare with {KIND.example}",
        )
    return template


@dataclass(frozen=True)
class Written:
    """What a teacher's raw text holds: one or two user turns, or why there are none."""

    turns: tuple[str, ...]
    problem: str | None = None


def parse_instruction(raw: str) -> Written:
    """The last instruction of a teacher's text, with the follow-up right after it if there is one.

    Text inside the tags stays as written, without white space at its ends. `problem` is
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


def is_well_formed(raw: str) -> bool:
    """Whether a teacher's text keeps the format: one instruction, and nothing after its tags."""
    pairs = list(_INSTRUCTION.finditer(raw))
    if len(pairs) != 1 or raw.count("<instruction>") != 1:
        return False
    last = _FOLLOW_UP.match(raw, pairs[0].end()) or pairs[0]
    return not raw[last.end() :].strip()
