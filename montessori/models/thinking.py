"""Takes the thoughts that a model writes before its answer off the answer.

No row, answer, length or rating holds a thought: students would learn it, and a judge's would be
read for its verdict. Marks are those of the model's own template where it shows thoughts, and the
common ones: `<think>` (DeepSeek, Qwen3), `<seed:think>`, `[THINK]` (Magistral), Cohere's
START_THINKING and the channels of gpt-oss.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from montessori.models.turns import ANSWER, QUESTION, Render

_TAG = r"<((?:[\w-]+:)?(?:think(?:ing)?|thoughts?))>"
_OPENINGS = (
    (re.compile(_TAG, re.IGNORECASE), r"</\1>"),
    (re.compile(r"\[(THINK)\]"), r"[/\1]"),
    (re.compile(r"◁(think)▷"), r"◁/\1▷"),
    (re.compile(r"<\|START_(THINKING)\|>"), r"<|END_\1|>"),
    (re.compile(r"<\|begin_of_(thought)\|>"), r"<|end_of_\1|>"),
    # of gpt-oss, with its special tokens and as servers that leave them out write it
    (re.compile(r"<\|channel\|>analysis<\|message\|>()"), r"<|channel|>final<|message|>\1"),
    (re.compile(r"analysis()(?=.*assistantfinal)", re.DOTALL), r"assistantfinal\1"),
)
#: An end without a beginning, which is then in the prompt of a template that nobody here knows.
_LONE_END = re.compile(r"</think>[ \t]*(?:\n|\Z)")
_THOUGHT = "@thought-7f0c@"


@dataclass(frozen=True)
class ThoughtStyle:
    """How a model's template shows thoughts; empty texts where it shows none.

    A thought stands between `opening` and `closing`; `preamble` comes before an answer without
    thoughts (gpt-oss: the channel's name).
    """

    opening: str = ""
    closing: str = ""
    preamble: str = ""


COMMON = ThoughtStyle()


class Parted(NamedTuple):
    """An answer, its tokens (those of the thought where it is alone), and the thought before it."""

    text: str
    tokens: int
    thought: str = ""


def read_style(render: Render) -> ThoughtStyle:
    """The style of a template, by rendering an answer with a thought and one without.

    Templates know thoughts as reasoning_content (Qwen, DeepSeek, GLM), reasoning or thinking
    (gpt-oss).
    """
    question: list[Any] = [{"role": "user", "content": QUESTION}]
    answer = {"role": "assistant", "content": ANSWER}
    named = dict.fromkeys(("reasoning_content", "reasoning", "thinking"), _THOUGHT)
    prompt = render(question, True)
    plain = _text_behind(render([*question, answer], False), prompt)
    shown = _text_behind(render([*question, {**answer, **named}], False), prompt)
    preamble = plain.partition(ANSWER)[0].strip()
    if _THOUGHT not in shown:
        return ThoughtStyle(preamble=preamble)
    opening, _, rest = shown.partition(_THOUGHT)
    return ThoughtStyle(opening.strip(), rest.partition(ANSWER)[0].strip(), preamble)


def split_thought(text: str, style: ThoughtStyle = COMMON, opened: str = "") -> tuple[str, str]:
    """The thought at the beginning of a model's text, and the answer behind it.

    `opened` is the mark that closes a thought which the prompt has opened (`find_opened`). A
    thought that is never closed leaves no answer; an empty one is no thought. A text without marks
    stays as it is.
    """
    body, closing = _begin_thought(text, style, opened)
    if closing:
        thought, end, answer = body.partition(closing)
        if not end:  # cut off, perhaps right behind its mark
            return body.strip() or text.strip(), ""
        answer = answer.lstrip()
    else:
        thought, answer = "", text
    if style.preamble and answer.lstrip().startswith(style.preamble):
        answer = answer.lstrip().removeprefix(style.preamble).lstrip()
    return thought.strip(), answer


def part_thought(
    whole: Parted, style: ThoughtStyle, opened: str, count: Callable[[str], int]
) -> Parted:
    """A sample without its thought, its tokens as `count` tells them of the answer."""
    thought, answer = split_thought(whole.text, style, opened)
    if answer == whole.text:
        return whole
    if thought and not answer.strip():
        return Parted("", whole.tokens, thought)
    return Parted(answer, count(answer), thought)


def is_thought_mark(text: str) -> bool:
    """Whether a text is the mark that begins or ends a thought in some model."""
    opening = text.replace("/", "", 1)
    return any(pattern.fullmatch(opening) for pattern, _ in _OPENINGS)


def find_opened(prompt: str, style: ThoughtStyle = COMMON) -> str:
    """The mark that closes a thought which the end of a prompt opens; "" if it opens none."""
    end = prompt.rstrip()
    if style.opening and end.endswith(style.opening):
        return style.closing
    line = end[-64:]
    for pattern, closing in _OPENINGS[:-1]:
        for found in pattern.finditer(line):
            if found.end() == len(line):
                return found.expand(closing)
    return ""


def _begin_thought(text: str, style: ThoughtStyle, opened: str) -> tuple[str, str]:
    """The text from where its thought begins, and the mark that closes it; "" without a thought."""
    start = text.lstrip()
    if style.opening and style.closing and start.startswith(style.opening):
        body = start.removeprefix(style.opening)
        # of several messages before the answer, gpt-oss names the last one's channel alone
        return body, style.closing if style.closing in body else style.preamble or style.closing
    for pattern, closing in _OPENINGS:
        if found := pattern.match(start):
            return start[found.end() :], found.expand(closing)
    if opened:
        return text, opened
    lone = _LONE_END.search(text)
    if lone and "<think>" not in text[: lone.start()]:
        return text, "</think>"
    return text, ""


def _text_behind(text: str, prompt: str) -> str:
    return text[len(prompt) :] if text.startswith(prompt) else ""
