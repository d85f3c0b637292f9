"""Jinja templates that a user may change: read from files and rendered in a sandbox.

The sandbox keeps a template, which may come with a downloaded model, from Python's objects.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.artifacts.bounded import TEMPLATE_FAULTS, describe_fault, limit_rendering
from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import ImmutableSandboxedEnvironment


@dataclass(frozen=True)
class TemplateKind:
    """What errors say about a template: what it is, the key that names it, one that works."""

    label: str  # "the instruction template"
    key: str  # of params.yaml: "instruction.template"
    example: str  # a file or folder to compare with


def sandboxed_environment(**options: Any) -> "ImmutableSandboxedEnvironment":
    """The environment of Jinja that every template is compiled in; `options` are Jinja's.

    jinja2 is imported here, because a stage that renders nothing should not pay for it.
    """
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(**options)


@lru_cache(maxsize=32)
def _compile_template(text: str) -> "Template":
    from jinja2 import StrictUndefined

    return sandboxed_environment(undefined=StrictUndefined).from_string(text)


def read_template(path: Path, kind: TemplateKind) -> str:
    """The text of a template file. Raises MontessoriError when it is missing or no text."""
    if not path.is_file():
        raise MontessoriError(
            f"{kind.label} is missing",
            where=str(path),
            expected="a jinja text file",
            next=f"set {kind.key} in params.yaml to an existing file",
        )
    return read_template_text(path, kind.key)


def read_template_text(path: Path, key: str) -> str:
    """The text of a file that is there; `key` of params.yaml names it, for the error."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MontessoriError(
            f"the template is not UTF-8 text: {error}",
            where=str(path),
            expected="a jinja text file in UTF-8",
            next=f"save it as UTF-8, or set {key} in params.yaml to another file",
        ) from error


def render_template(text: str, kind: TemplateKind, **values: object) -> str:
    """A template with its names filled in.

    Raises MontessoriError when the text is malformed jinja, uses a name that `values` lacks, goes
    wrong in any other way, or takes more time or memory than `limit_rendering` allows.
    """
    from jinja2 import TemplateError

    try:
        with limit_rendering():
            return _compile_template(text).render(**values)
    except (TemplateError, *TEMPLATE_FAULTS) as error:
        names = ", ".join(f"`{name}`" for name in sorted(values))
        raise MontessoriError(
            f"{kind.label} does not render: {describe_fault(error)}",
            where=f"params.yaml, key {kind.key}",
            expected=f"jinja text that uses no names but {names}",
            next=f"compare with {kind.example}",
        ) from error
