"""Instructions in tags: how a teacher is shown them, and how they are read from what it writes.

A teacher sees tagged instructions and answers with a short reason and one new tagged instruction
(Montessori-Instruct, arXiv 2410.14208, appendix; method: the last tag pair counts).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

OPEN = "<instruction>"
CLOSE = "</instruction>"
_OPENING = re.compile(r"<instruction>|<Question_\d+><input>")  # ours, and that of ARTE's questions
_INSTRUCTION = re.compile(r"<instruction>((?:(?!</?instruction>).)*)</instruction>", re.DOTALL)
_FOLLOW_UP = re.compile(r"\s*<follow-up>((?:(?!</?follow-up>).)*)</follow-up>", re.DOTALL)


@dataclass(frozen=True)
class Written:
    """What a teacher's raw text holds: one or two user turns, or why there are none."""

    turns: tuple[str, ...]
    problem: str | None = None


def tag_turns(turns: Sequence[str]) -> str:
    """One or two user turns in tags: an instruction line and, for a second turn, a follow-up line.

    Raises ValueError for no turn and for more than two.
    """
    if not 1 <= len(turns) <= 2:
        raise ValueError(f"an example has one or two user turns, not {len(turns)}")
    names = ("instruction", "follow-up")
    return "\n".join(f"<{n}>{turn}</{n}>" for n, turn in zip(names, turns, strict=False))


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
    if len(pairs) != 1 or raw.count(OPEN) != 1:
        return False
    last = _FOLLOW_UP.match(raw, pairs[0].end()) or pairs[0]
    return not raw[last.end() :].strip()


def cut_after_tags(raw: str) -> str | None:
    """The text up to the end of its first instruction, with the follow-up right after it.

    None without a closed pair of tags.
    """
    first = _INSTRUCTION.search(raw)
    if first is None:
        return None
    last = _FOLLOW_UP.match(raw, first.end()) or first
    return raw[: last.end()]


def find_opening(raw: str) -> str:
    """The open tag that a raw text begins with: of an instruction or of ARTE's question, or ""."""
    found = _OPENING.match(raw)
    return found.group() if found else ""
