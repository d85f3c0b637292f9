"""Where the assistant's turns lie in a dialogue that a chat template has rendered.

The stage `models` tries a template by this rule, and training takes its loss masks from it, so a
template that passes there does not fail hours later. Nothing but the renderings is looked at.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from jinja2 import TemplateError

from montessori.artifacts.bounded import TEMPLATE_FAULTS
from montessori.errors import MontessoriError

Message = Mapping[str, str]
#: Renders a dialogue; with True, ending where the assistant begins to write.
Render = Callable[[Sequence[Message], bool], str]
Span = tuple[int, int]

QUESTION, ANSWER = "What is the first?", "It is the answer."
#: What a template raises that cannot render a dialogue, and what `render_dialogue` makes of it.
REFUSALS = (MontessoriError, TemplateError, *TEMPLATE_FAULTS)
#: Stands for an answer while its place is looked for; no template holds it.
_PLACE = "@answer-7f0c@"


SYSTEM = "Be brief and kind."


class HiddenTurnError(ValueError):
    """A template renders a dialogue so that the tokens of an answer cannot be found."""


def locate_turns(
    render: Render, messages: Sequence[Message], ends: Collection[str]
) -> tuple[str, list[Span]]:
    """The dialogue's text, and the characters of each assistant turn with its end token.

    Where each turn only adds text, a turn begins at the end of its prompt. Where a template renders
    earlier turns otherwise (Qwen3 shows the thoughts of the last turn only), the place of an answer
    is where another text in its stead changes the dialogue. `ends` are texts of tokens that end a
    turn. Raises HiddenTurnError when neither works, or the last turn does not begin with the
    prompt that generation sees.
    """
    text = render(messages, False)
    spans: list[Span] = []
    turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    for i in turns:
        opening = render(messages[:i], True)
        turn = text if i == len(messages) - 1 else render(messages[: i + 1], False)
        if text.startswith(turn) and turn.startswith(opening):
            spans.append((len(opening), _without_tail(turn, len(opening), ends)))
        elif i == turns[-1] and not text.startswith(opening):
            raise HiddenTurnError("an answered question does not begin as an open one")
        else:
            spans.append(_locate_by_place(render, messages, i, text, ends))
    return text, spans


def shows_system(render: Render) -> bool:
    """Whether a template shows the text of a system message: some refuse it, some leave it out."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    try:
        return SYSTEM in render(messages, True)
    except REFUSALS:
        return False


def settle_end(text: str, span: Span, ends: Collection[str]) -> Span:
    """The characters of an answer with the end token that is in it or follows it.

    White space may stand between. What is in the answer behind its end token does not count.
    """
    start, end = span
    kept = start + _without_tail(text[start:end], 0, ends)
    if kept < end or text[start:end].endswith(tuple(filter(None, ends))):
        return start, kept
    rest = text[end:].lstrip()
    found = max((mark for mark in ends if rest.startswith(mark)), key=len, default="")
    return start, len(text) - len(rest) + len(found) if found else end


def closing_token(render: Render, tokens: Collection[str], ends: Collection[str]) -> str:
    """The token, of `tokens`, that the template closes an assistant turn with; "" without one.

    Of tokens that follow each other directly, one of `ends`, the tokens that the model is known to
    stop at, counts before the last: Cohere writes `<|END_RESPONSE|><|END_OF_TURN_TOKEN|>`, Phi-3
    `<|end|>`, a new line and then its end of text.
    """
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    rest = render(messages, False).rpartition(ANSWER)[2]
    places = {rest.find(token): token for token in sorted(tokens, key=len) if token in rest}
    run: list[str] = []
    at = min(places, default=-1)
    while at in places:
        run.append(places[at])
        at += len(places[at])
    return next((token for token in run if token in ends), run[-1] if run else "")


def _locate_by_place(
    render: Render, messages: Sequence[Message], i: int, text: str, ends: Collection[str]
) -> Span:
    """The characters of message `i`, found by rendering another text in its place."""
    replaced = [*messages[:i], {**messages[i], "content": _PLACE}, *messages[i + 1 :]]
    head, found, tail = render(replaced, False).partition(_PLACE)
    fits = len(head) + len(tail) <= len(text)
    if not (found and fits and text.startswith(head) and text.endswith(tail)):
        raise HiddenTurnError("earlier turns are changed when a dialogue goes on")
    return settle_end(text, (len(head), len(text) - len(tail)), ends)


def _without_tail(turn: str, opening: int, ends: Collection[str]) -> int:
    """Length of the turn up to its end token, without what a template writes behind it.

    `opening` is the length of its prompt. Phi-3's template puts an end of text behind the end of
    the last turn, which no model gets to write.
    """
    marks, kept, rest = tuple(filter(None, ends)), turn, turn.rstrip()
    while marks and len(rest) > opening and rest.endswith(marks):
        kept = rest
        rest = rest.removesuffix(next(mark for mark in marks if rest.endswith(mark))).rstrip()
    return len(kept)
