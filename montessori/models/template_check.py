"""Checks a chat template by rendering it as transformers does, without importing transformers.

By the rule that training finds an answer's tokens with (models/turns.py), so that what passes here
does not fail when a model is trained, hours later.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from jinja2 import TemplateError

from montessori.artifacts.bounded import (
    TEMPLATE_FAULTS,
    describe_fault,
    limit_rendering,
    require_short,
)
from montessori.errors import MontessoriError
from montessori.models.settled_template import (
    BLOCK,
    CLOCK,
    chat_environment,
    read_names,
    settle_template,
)
from montessori.models.turns import (
    ANSWER,
    QUESTION,
    HiddenTurnError,
    Message,
    Render,
    closing_token,
    locate_turns,
    shows_system,
)

SECOND = "Name the second one."
_OPEN: list[Message] = [{"role": "user", "content": QUESTION}]
_OTHER: list[Message] = [{"role": "user", "content": SECOND}]
_ANSWER: Message = {"role": "assistant", "content": ANSWER}
#: Names that a caller gives, which are no options.
_GIVEN = {"messages", "add_generation_prompt", "tools", "documents", "raise_exception", CLOCK}
#: What a template raises that cannot render a dialogue.
RENDERING = (TemplateError, *TEMPLATE_FAULTS)
#: The token ids of a text, special tokens by their texts and nothing put before it.
Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True)
class TriedTokens:
    """What a template is tried with, of a model and its tokenizer.

    `special` are the names that a template may use (bos_token, eos_token, ...), `endings` the
    tokens that the model is said to stop at, `known` all texts that are tokens of their own.
    `encode` gives the token ids of a text; without it only texts are compared.
    """

    special: Mapping[str, str]
    endings: Collection[str]
    known: Collection[str] = ()
    encode: Encode | None = None


def check_template(template: str, tried: TriedTokens, where: str) -> list[str]:
    """Raise MontessoriError unless a chat template can show a dialogue and be trained with.

    It must render, show the texts of user and assistant, ask for an answer in the way in which an
    answered question begins, and close an assistant turn with a token that ends generation.
    `where` is the template's file. Returns, in sentences, what cannot be done with it all the same.
    """
    problem = find_template_problem(template, tried)
    if problem:
        raise MontessoriError(
            f"the chat template cannot be used: {problem}",
            where=where,
            expected="a jinja template for user and assistant messages that heeds "
            "add_generation_prompt",
            next=find_mending_option(template, tried)
            or _unknown_end(template, tried)
            or "put a chat_template.jinja that works into the model's folder (for many families: "
            "trl/chat_templates/*_training.jinja of the package trl); for a model that has none, "
            "set model.fallback_template in params.yaml, such as "
            "montessori/templates/plain_chat.jinja",
        )
    return _limits(make_renderer(template, tried.special), tried.endings)


def make_renderer(template: str, special: Mapping[str, str], shown: bool = False) -> Render:
    """A function that renders dialogues by a template, each within limits of time and memory.

    Raises one of RENDERING. `shown`: see `chat_environment`.
    """
    with limit_rendering():  # a constant of the template is computed here
        compiled = chat_environment(shown).from_string(template)

    def render(messages: Sequence[Message], prompt: bool) -> str:
        with limit_rendering():
            text = compiled.render(
                messages=[dict(message) for message in messages],
                add_generation_prompt=prompt,
                tools=None,
                documents=None,
                **special,
            )
        return require_short(text)

    return render


def find_template_problem(template: str, tried: TriedTokens) -> str:
    """Why `check_template` refuses a template; "" where it does not."""
    try:
        render = make_renderer(template, tried.special)
        shown = make_renderer(template, tried.special, shown=True)
        return (
            _dialogue_problem(render, tried)
            or _prompt_problem(render, tried)
            or _block_problem(shown, tried)
        )
    except RENDERING as error:
        return f"it does not render ({describe_fault(error)})"


def _dialogue_problem(render: Render, tried: TriedTokens) -> str:
    """What a template does not show."""
    open_text, prompt = render(_OPEN, False), render(_OPEN, True)
    answered = render([*_OPEN, _ANSWER], False)
    long_text = render([*_OPEN, _ANSWER, *_OTHER], False)
    if QUESTION not in prompt or SECOND not in render(_OTHER, True):
        return "it does not show what the user says"
    if ANSWER not in answered:
        return "it does not show what the assistant says"
    # the templates of Llama 2 and Mistral 7B need none: the end of the question is the prompt
    before, _, after = answered.rpartition(ANSWER)
    if prompt == open_text and before.rstrip() != prompt.rstrip():
        return "it has no generation prompt"
    stops = {*tried.endings, closing_token(render, tried.known, tried.endings)} - {""}
    if not any(token in after for token in stops):
        listed = ", ".join(sorted(stops))
        return f"an assistant turn does not end with a token the model stops at ({listed})"
    if not all(text in long_text for text in (QUESTION, ANSWER, SECOND)):
        return "it does not show all turns of a dialogue"
    return ""


def _prompt_problem(render: Render, tried: TriedTokens) -> str:
    """Whether a row of one turn does not begin with what generation sees."""
    try:
        text, spans = locate_turns(render, [*_OPEN, _ANSWER], tried.endings)
    except HiddenTurnError as error:
        return f"it cannot be trained with: {error}"
    prompt = render(_OPEN, True)
    if not any(ANSWER in text[start:end] for start, end in spans):
        return "it cannot be trained with: the answer's place is not found"
    if tried.encode is not None:
        asked = list(tried.encode(prompt))
        if list(tried.encode(text))[: len(asked)] != asked:
            return (
                f"it cannot be trained with: the end of the prompt, {prompt[-12:]!r}, and the "
                "beginning of an answer are one token"
            )
    return ""


def _block_problem(shown: Render, tried: TriedTokens) -> str:
    """What `{% generation %}` blocks, if there are any, leave out of what is learned."""
    text = shown([*_OPEN, _ANSWER], False)
    blocks = text.split(BLOCK[0])[1:]
    if not blocks:
        return ""
    answers = [i for i, part in enumerate(blocks) if ANSWER in part.partition(BLOCK[1])[0]]
    if not answers:
        return "its {% generation %} block does not hold the answer"
    block, _, rest = "".join(blocks[answers[-1] :]).partition(BLOCK[1])
    stops = {*tried.endings, closing_token(shown, tried.known, tried.endings)} - {""}
    if any(stop in block for stop in stops) or rest.lstrip().startswith(tuple(stops)):
        return ""
    return "the end of a turn is neither in {% generation %} nor right behind it"


def _limits(render: Render, endings: Collection[str]) -> list[str]:
    """What a usable template does not do, or does in its own way."""
    found = []
    dialogue = [*_OPEN, _ANSWER, *_OTHER, {**_ANSWER, "content": "And another."}]
    try:
        text, spans = locate_turns(render, dialogue, endings)
    except RENDERING as error:
        found.append(f"rows of one turn only: {error}")
    else:
        if not text.startswith(render([*_OPEN, _ANSWER], False)) and len(spans) > 1:
            found.append(
                "it renders earlier turns unlike the last one; the loss of rows of several "
                "turns is found by each answer's place"
            )
    if not shows_system(render):
        found.append("it shows no system message: that of a row is joined to the user's first turn")
    return found


def _unknown_end(template: str, tried: TriedTokens) -> str:
    """The next step where a turn may end with the token that begins the next one; else ""."""
    try:
        text = make_renderer(template, tried.special)([*_OPEN, _ANSWER, *_OTHER], False)
    except RENDERING:
        return ""
    behind = text.rpartition(ANSWER)[2].lstrip()
    token = max((one for one in tried.known if behind.startswith(one)), key=len, default="")
    if not token or token in tried.endings:
        return ""
    return (
        f"if the model stops at {token}, with which its next turn begins, add the token's id to "
        "eos_token_id in generation_config.json of the model"
    )


def find_mending_option(template: str, tried: TriedTokens) -> str:
    """The next step where one option of the template would make it usable; else ""."""
    names = sorted(read_names(template) - _GIVEN - tried.special.keys())
    for name, value in product(names, (False, True)):
        if not find_template_problem(settle_template(template, {name: value}), tried):
            return (
                f"set model.template_options: {{{name}: {str(value).lower()}}} in params.yaml, "
                "with which the template can be used"
            )
    return ""
