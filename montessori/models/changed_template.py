"""Chat templates of thinking families, changed so that rows can be trained on what is asked.

Two kinds of published templates pass for generation alone. Some open a thought in the prompt that
a row's answer does not have (DeepSeek-R1): then the prompt is asked without it. Others end a turn
where the next one begins (GLM-4): then the token of the next turn stands behind the last answer.
"""

import json
import re
from collections.abc import Iterator

from montessori.models.settled_template import BLOCK_NAME
from montessori.models.template_check import (
    RENDERING,
    TriedTokens,
    find_mending_option,
    find_template_problem,
    make_renderer,
)
from montessori.models.thinking import find_opened
from montessori.models.turns import ANSWER, QUESTION, Message

_OPEN: list[Message] = [{"role": "user", "content": QUESTION}]
_ANSWERED: list[Message] = [*_OPEN, {"role": "assistant", "content": ANSWER}]
_LONGER: list[Message] = [*_ANSWERED, {"role": "user", "content": "Name the second one."}]
_BLOCK = re.compile(rf"\{{%[-+]?\s*{BLOCK_NAME}\b")
#: Name of the variable that holds a rendered dialogue; no template has it.
_TEXT = "montessori_dialogue"


def change_template(template: str, tried: TriedTokens) -> tuple[str, str]:
    """A template that can be trained with, and in words what was changed of `template`.

    The same template and "" where nothing need be changed, an option of the template does it, or no
    change known here helps. Templates with `{% generation %}` blocks are left alone: their places
    are counted while they render.
    """
    if _BLOCK.search(template) or not find_template_problem(template, tried):
        return template, ""
    if find_mending_option(template, tried):
        return template, ""
    for changed, change in _changes(template, tried):
        if not find_template_problem(changed, tried):
            return changed, change
    return template, ""


def _changes(template: str, tried: TriedTokens) -> Iterator[tuple[str, str]]:
    """Changed templates that may help, and the change in words."""
    try:
        render = make_renderer(template, tried.special)
        prompt, longer = render(_OPEN, True), render(_LONGER, False)
        before, _, after = render(_ANSWERED, False).rpartition(ANSWER)
    except RENDERING:
        return
    thought = prompt.removeprefix(before)
    if thought != prompt and find_opened(prompt):
        yield (
            _without_ending(template, thought),
            f"the prompt does not open a thought ({thought.strip()}), which no row has",
        )
    behind = longer.rpartition(ANSWER)[2]
    ends = [token for token in tried.endings if token and behind.lstrip().startswith(token)]
    if ends and not after.strip():
        end = behind[len(after) : behind.index(ends[0]) + len(ends[0])]
        yield (
            _with_end(template, end),
            f"the last answer ends with {ends[0]}, the beginning of the next turn",
        )


def _without_ending(template: str, ending: str) -> str:
    """The template whose generation prompt lacks `ending`."""
    text = f"{{% set {_TEXT} %}}{_as_part(template)}{{%+ endset %}}"
    cut = f"{_TEXT}[:-{len(ending)}]"
    asked = f"add_generation_prompt and {_TEXT}.endswith({json.dumps(ending)})"
    return f"{text}{{{{ {cut} if {asked} else {_TEXT} }}}}"


def _with_end(template: str, end: str) -> str:
    """The template that writes `end` behind a dialogue whose last message is an answer."""
    answered = 'messages and messages[-1]["role"] == "assistant" and not add_generation_prompt'
    return f"{_as_part(template)}{{{{ {json.dumps(end)} if {answered} else '' }}}}"


def _as_part(template: str) -> str:
    """Jinja leaves out the new line that ends a template, but not one that is followed by more."""
    return template.removesuffix("\n")
