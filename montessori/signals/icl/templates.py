"""Jinja templates in a folder of the user's: rendered in a sandbox, checked before use."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from jinja2 import Template


@lru_cache(maxsize=32)
def _compiled(text: str) -> "Template":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(text)


def read_templates(folder: Path, *names: str) -> dict[str, str]:
    """The texts of `<folder>/<name>.jinja` by name. Raises MontessoriError if one is missing."""
    texts = {}
    for name in names:
        file = folder / f"{name}.jinja"
        if not file.is_file():
            raise MontessoriError(
                f"the template {name}.jinja is missing",
                where=str(folder),
                expected=", ".join(f"{each}.jinja" for each in names),
                next="compare with data/micro/prompts, or name another folder in params.yaml",
            )
        texts[name] = file.read_text(encoding="utf-8")
    return texts


def render(text: str, name: str, **values: object) -> str:
    """A template with its names filled in.

    Raises MontessoriError when it is no valid jinja or uses a name that it is not given.
    """
    from jinja2 import TemplateError

    try:
        return _compiled(text).render(**values)
    except TemplateError as error:
        raise MontessoriError(
            f"the template {name}.jinja does not render: {error}",
            where=f"{name}.jinja in the folder of templates",
            expected=f"jinja text that uses no names but {', '.join(sorted(values))}",
            next="compare with data/micro/prompts",
        ) from error
