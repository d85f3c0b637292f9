"""A chat template as the stage `models` settles it: no options, no clock, one beginning of text.

Its settings become the first lines of the template's text. So every reader of a model folder - our
stages, vLLM, trl, lm-eval, a server of someone else - renders the same tokens, today and tomorrow,
and the template's hash tells two settings apart.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser

from montessori.artifacts.bounded import TEMPLATE_FAULTS
from montessori.artifacts.templates import sandboxed_environment

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

#: What `strftime_now` tells: the date on which the template of Llama 3.2 falls back.
TODAY = datetime(2024, 7, 26)
CLOCK = "strftime_now"
#: Name of the block that marks what the assistant writes.
BLOCK_NAME = "generation"
#: Signs of a block's start and end; no text has them.
BLOCK = ("\x02", "\x03")
_DIRECTIVES = "aAbBcdFHIjmMpSTuUwWxXyYD"
Option = str | int | float | bool | None


class _Generation(Extension):
    """`{% generation %}`: marks what the assistant writes; rendered as its content."""

    tags = {BLOCK_NAME}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The nodes inside the block."""
        next(parser.stream)
        return parser.parse_statements((f"name:end{BLOCK_NAME}",), drop_needle=True)


class _ShownGeneration(_Generation):
    """The same, rendered between the two signs of `BLOCK`."""

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The nodes inside the block, and the signs around them."""
        start, end = (nodes.Output([nodes.TemplateData(sign)]) for sign in BLOCK)
        return [start, *super().parse(parser), end]


def chat_environment(shown: bool = False) -> "ImmutableSandboxedEnvironment":
    """Jinja as transformers sets it up for chat templates, without importing transformers.

    With `shown`, `{% generation %}` blocks stand between the signs of `BLOCK`.
    """
    generation = _ShownGeneration if shown else _Generation
    environment = sandboxed_environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals[CLOCK] = TODAY.strftime
    return environment


def read_names(template: str) -> set[str]:
    """The names that a template reads without setting them. Empty for what cannot be parsed."""
    environment = chat_environment()
    del environment.globals[CLOCK]  # what the environment has does not count as read
    try:
        return find_undeclared_variables(environment.parse(template))
    except (TemplateError, *TEMPLATE_FAULTS):
        return set()


def settle_template(template: str, options: Mapping[str, Option], begin: str = "") -> str:
    """The template with `options` and the date set, and `begin` before each dialogue.

    Options that the template does not read, and a clock that it does not ask for, change nothing.
    """
    names = read_names(template)
    lines = [
        f"{{% set {name} = {_literal(value)} %}}"
        for name, value in options.items()
        if name in names
    ]
    if CLOCK in names:
        lines.append(_stopped_clock())
    if begin:
        lines.append(f"{{% if true %}}{{{{ {json.dumps(begin)} }}}}{{% endif %}}")
    # a new line behind a block is no text: transformers and vLLM render with trim_blocks
    return "".join(f"{line}\n" for line in lines) + template


def _stopped_clock() -> str:
    """A macro in the place of transformers' `strftime_now`, which tells the day of `TODAY`."""
    forms = [f"%-{letter}" for letter in "dHIjmMSUWy"] + [f"%{letter}" for letter in _DIRECTIVES]
    told = "".join(
        f" | replace({_literal(form)}, {_literal(TODAY.strftime(form))})" for form in forms
    )
    return f"{{% macro {CLOCK}(format) %}}{{{{ format{told} }}}}{{% endmacro %}}"


def _literal(value: Option) -> str:
    """A value as Jinja reads it."""
    return "none" if value is None else json.dumps(value)


def _to_json(value: Any, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
