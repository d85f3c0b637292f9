"""Where models that only a server has may be named, and how they may be asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.commands.check_descriptions import read_description
from montessori.formats.tokens import HOSTED, NEED_TOKENS
from montessori.graph.references import Rows, find_references
from montessori.graph.stages import Graph

#: Sections of rows with a teacher that is asked, and the section that says in which format.
ASKED = {
    "probes": "instruction",
    "datasets": "instruction",
    "drafts": "elicit",
    "tailored": "elicit",
}


def hosted_problems(raw: Mapping[str, Any], rows: Rows, graph: Graph, root: Path) -> list[str]:
    """A model that only a server has writes data; it has no weights to train or to evaluate.

    It also has no tokenizer here, so that not every format can be asked for.
    """
    problems = []
    hosted = {
        ("models", name)
        for name, row in rows["models"].items()
        if "server" in read_description(root / row.path)
    }
    for ref in find_references(rows, graph):
        if ref.key not in ("teacher", "judge") and hosted & set(ref.targets):
            problems.append(f"{ref.place}: {ref.text!r} is hosted; only a teacher or a judge can")
    return problems + _format_problems(raw, rows, hosted)


def _format_problems(raw: Mapping[str, Any], rows: Rows, hosted: set[tuple[str, str]]) -> list[str]:
    """A hosted teacher can only be asked to answer a dialogue; other formats need token ids."""
    problems = []
    for section, asking in ASKED.items():
        settings = raw.get(asking)
        form = settings.get("format", "tags") if isinstance(settings, Mapping) else "tags"
        for name, row in rows[section].items():
            folder, _, model = row.teacher.partition("/")
            if form in NEED_TOKENS and (folder, model) in hosted:
                problems.append(
                    f"{section}.{name}.teacher: {row.teacher!r} is hosted and cannot be asked in "
                    f"{asking}.format: {form}; {HOSTED}"
                )
    return problems
