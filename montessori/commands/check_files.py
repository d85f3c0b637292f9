"""Files that params.yaml names: whether they exist, and what descriptions of hosted models say."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json
from montessori.formats.tokens import HOSTED, NEED_TOKENS
from montessori.graph.load import read_section
from montessori.graph.references import Rows, find_references
from montessori.graph.rows import SEED_SETS
from montessori.graph.stages import Graph
from montessori.models.hosted import HostedModel


def file_problems(raw: Mapping[str, Any], rows: Rows, graph: Graph, root: Path) -> list[str]:
    """A problem for each file that params name, that is not there, and that no stage makes.

    Files that only stages without rows read need not exist.
    """
    named = dict(
        [
            *_files_of_rows(rows, graph),
            *_files_of_settings(raw, rows, graph),
            *_files_of_references(rows, graph),
        ]
    )
    return [
        f"{key}: {path} does not exist"
        for key, path in named.items()
        if not ((root / path).exists() or _is_made(path, rows, graph))
    ]


def _files_of_rows(rows: Rows, graph: Graph) -> Iterator[tuple[str, str]]:
    """Key and path of each file that a row names, as dvc.yaml has it: `${item.path}`."""
    for stage in graph.stages:
        for name, row in rows.get(stage.section or "", {}).items():
            for key in stage.files:
                yield f"{stage.section}.{name}.{key}", getattr(row, key)


def _files_of_settings(
    raw: Mapping[str, Any], rows: Rows, graph: Graph
) -> Iterator[tuple[str, str]]:
    """The same of settings that a stage with rows reads: `${instruction.template}`."""
    for stage in graph.stages:
        if stage.section is not None and not rows.get(stage.section):
            continue
        for section, key in stage.file_settings:
            settings = raw.get(section)
            if isinstance(settings, Mapping) and isinstance(settings.get(key), str):
                yield f"{section}.{key}", settings[key]


def _files_of_references(rows: Rows, graph: Graph) -> Iterator[tuple[str, str]]:
    """The same of keys that may name a row and name a file instead, such as micro/judge.json."""
    for ref in find_references(rows, graph):
        if ref.fits and not ref.targets and ref.text not in SEED_SETS:
            yield ref.place, f"data/{ref.text}"


def _is_made(path: str, rows: Rows, graph: Graph) -> bool:
    """Whether a path is the output of a stage for one of its rows, such as a base model."""
    data, _, rest = path.partition("/")
    folder, _, name = rest.partition("/")
    sections = graph.sections_of(folder) if data == "data" else ()
    return any(name in rows[section] for section in sections)


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
    problems, hosted = [], set()
    for name, row in rows["models"].items():
        path = root / row.path
        described = read_json(path) if path.suffix == ".json" and path.is_file() else {}
        if isinstance(described, Mapping) and "server" in described:
            hosted.add(("models", name))
            wrong = read_section({name: described}, name, HostedModel)[1]
            problems += [f"models.{problem} (in {row.path})" for problem in wrong]
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
