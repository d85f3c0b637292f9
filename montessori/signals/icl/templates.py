"""The templates of in-context scoring and of ARTE: several `.jinja` files in one folder."""

from pathlib import Path

from montessori.artifacts.templates import TemplateKind, read_template_text, render_template
from montessori.errors import MontessoriError

KEYS = "icl.templates or elicit.templates"
EXAMPLES = "data/micro/prompts"


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
                next=f"compare with {EXAMPLES}, or name another folder in params.yaml",
            )
        texts[name] = read_template_text(file, KEYS)
    return texts


def fill_template(text: str, name: str, **values: object) -> str:
    """The text of `<name>.jinja` with its names filled in.

    Raises MontessoriError when it is malformed jinja or uses a name that `values` lacks.
    """
    return render_template(
        text, TemplateKind(f"the template {name}.jinja", KEYS, EXAMPLES), **values
    )
