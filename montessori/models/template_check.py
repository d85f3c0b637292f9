"""Checks a chat template by rendering it as transformers does, without importing transformers."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from montessori.artifacts.templates import sandboxed_environment
from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

FIRST, SECOND, ANSWER = "What is the first?", "Name the second one.", "It is the answer."


class _Generation(Extension):
    """`{% generation %}`: marks what the assistant writes; rendered as its content."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """The nodes inside the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def check_template(
    template: str, special_tokens: Mapping[str, str], endings: Collection[str], where: str
) -> None:
    """Raise MontessoriError unless a chat template can show a dialogue.

    It must render, show the texts of user and assistant, ask for an answer with
    add_generation_prompt, and close an assistant turn with a token that ends generation.
    `special_tokens` are the names it may use (bos_token, eos_token, ...), `endings` the tokens that
    the model stops at, and `where` is the template's file.
    """
    problem = _template_problem(template, special_tokens, endings)
    if problem:
        raise MontessoriError(
            f"the chat template cannot be used: {problem}",
            where=where,
            expected="a jinja template for user and assistant messages that heeds "
            "add_generation_prompt",
            next="fix it, or set model.fallback_template in params.yaml to another file, such as "
            "montessori/templates/plain_chat.jinja",
        )


def _template_problem(
    template: str, special_tokens: Mapping[str, str], endings: Collection[str]
) -> str:
    first, second = [_message("user", FIRST)], [_message("user", SECOND)]
    answered = [*first, _message("assistant", ANSWER)]
    try:
        compiled = _chat_environment().from_string(template)

        def render(messages: list[dict[str, str]], prompt: bool) -> str:
            return compiled.render(
                messages=messages,
                add_generation_prompt=prompt,
                tools=None,
                documents=None,
                **special_tokens,
            )

        open_text, prompt = render(first, False), render(first, True)
        other_prompt = render(second, True)
        answered_text = render(answered, False)
        long_text = render([*answered, *second], False)
    except (TemplateError, TypeError, ValueError, KeyError) as error:
        return f"it does not render ({type(error).__name__}: {error})"
    if FIRST not in prompt or SECOND not in other_prompt:
        return "it does not show what the user says"
    if ANSWER not in answered_text:
        return "it does not show what the assistant says"
    if prompt == open_text:
        return "it has no generation prompt"
    after_answer = answered_text.rpartition(ANSWER)[2]
    if not any(token in after_answer for token in endings):
        stops = ", ".join(sorted(endings))
        return f"an assistant turn does not end with a token the model stops at ({stops})"
    if not (FIRST in long_text and ANSWER in long_text and SECOND in long_text):
        return "it does not show all turns of a dialogue"
    return ""


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _chat_environment() -> "ImmutableSandboxedEnvironment":
    """Jinja as transformers sets it up for chat templates."""
    environment = sandboxed_environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(value: Any, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
