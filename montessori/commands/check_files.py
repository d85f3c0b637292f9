"""Files that params.yaml names: whether they exist, and what is to be done where they do not."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from montessori.errors import shorten
from montessori.graph.limits import PathTo
from montessori.graph.references import Rows, find_references
from montessori.graph.rows import ROWS, SEED_SETS
from montessori.graph.stages import Graph
from montessori.models.hub_id import HUB_ID, hub_model_hint

Classes = Mapping[str, type[Any]]
SHOWN = 300  # characters of a path
#: What is to be written where a data set of the hub is named instead of a file of rows.
_HUB_ROWS = (
    '; if it is a data set of the hub, name a .json file with {"kind": "hub", "dataset": "%s", '
    '"revision": "40 hex digits of a commit", "columns": {"instruction": "COLUMN", "response": '
    '"COLUMN"}}'
)
_HUB_ITEMS = (
    "; if it is a data set of the hub, name a folder F, and copy the data set below it: "
    "hf download %s --repo-type dataset --local-dir F/%s"
)


def file_problems(
    raw: Mapping[str, Any], rows: Rows, graph: Graph, classes: Classes, root: Path
) -> list[str]:
    """A problem for each file that params name, that is not there, and that no stage makes.

    And for each folder where a file is read, and each file where a folder is. Files that only
    stages without rows read need not exist.
    """
    named = dict(
        [
            *_files_of_rows(rows, graph),
            *_files_of_settings(raw, rows, graph),
            *_files_of_references(rows, graph),
        ]
    )
    found = {
        key: _find_problem(key, path, _kind_of(key, classes), root)
        for key, path in named.items()
        if not _is_made(path, rows, graph)
    }
    return [
        f"{key}: {shorten(path, SHOWN)} {found[key]}"
        for key, path in named.items()
        if found.get(key)
    ]


def _find_problem(key: str, path: str, kind: str, root: Path) -> str | None:
    there = root / path
    try:
        is_file, is_folder = there.is_file(), there.is_dir()
    except OSError as error:
        return f"does not exist, and never can ({error.strerror})"
    except ValueError as error:  # a zero byte
        return f"does not exist, and never can ({error})"
    if is_file or is_folder:
        wanted = {"file": is_file, "folder": is_folder}.get(kind, True)
        if not wanted:
            return f"is a {'folder' if is_folder else 'file'}, not a {kind}"
        if is_folder and key.startswith("models.") and not (there / "config.json").is_file():
            return "is no model folder: it has no config.json"
        return None
    if there.is_symlink():
        return f"is a link to {there.readlink()}, which does not exist"
    return f"does not exist{_hint(key, path, root)}"


def _hint(key: str, path: str, root: Path) -> str:
    """What may have been meant by a path that does not exist."""
    if "\\" in path:
        return "; folders are separated by / here, not by a backslash"
    known = (root / path).parent.is_dir() and "/" in path
    if not HUB_ID.fullmatch(path) or known or path.endswith((".json", ".jsonl")):
        return ""
    if key.startswith("models."):
        return f"; {hub_model_hint(path)}"
    if key in ("sources.evals", "harness.data"):
        return _HUB_ITEMS % (path, path) if "/" in path else ""
    if key.startswith("sources.") and "/" in path:
        return _HUB_ROWS % path
    return ""


def _kind_of(key: str, classes: Classes) -> str:
    """What a key is the path of: "file", "folder" or "file or folder"."""
    section, _, rest = key.partition(".")
    cls = ROWS.get(section) or classes.get(section)
    hint = get_type_hints(cls, include_extras=True).get(rest.rpartition(".")[2]) if cls else None
    paths = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, PathTo)]
    return paths[0].what if paths else "file or folder"


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
