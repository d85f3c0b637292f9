"""dvc.yaml as data: what each stage reads and writes, and the section whose rows it goes over.

A path in dvc.yaml means what it looks like:

    data/probe/${item.probe}   the key `probe` of a row names a row that lies in data/probe
    data/${item.start}         the key `start` names a row by its folder and name: teachers/x
    ${item.rows}               the key `rows` of a row is the path of a file or folder
    ${icl.templates}           so is the key `templates` of section `icl`
    data/prefs/${key}          the output of another stage for the same row

Any other template is an error, so that nothing in dvc.yaml is overlooked.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError
from montessori.graph.load import read_yaml

GRAPH = "dvc.yaml"
CODE = "data/code"  # where the stage `code` lists which files a stage script may load

_WORD = r"([A-Za-z][\w-]*)"
#: How a path may look, and what it means. Each pattern is matched against the whole path.
# The first pattern that matches counts: a list of code has the form of a fixed path too.
_INPUTS: Mapping[str, str] = {
    "code": rf"{CODE}/{_WORD}",
    "own": rf"data/{_WORD}/\$\{{key\}}",
    "name": rf"data/{_WORD}/\$\{{item\.(\w+)\}}",
    "path": r"data/\$\{item\.(\w+)\}",
    "file": r"\$\{item\.(\w+)\}",
    "setting": r"\$\{(\w+)\.(\w+)\}",
    "fixed": r"[^${}]+",
}
_INPUT_FORMS = (
    "data/FOLDER/${item.KEY}, data/${item.KEY}, ${item.KEY}, ${SECTION.KEY}, data/FOLDER/${key}, "
    "or a path without ${}"
)
_KEYS = ("desc", "cmd", "params", "deps", "outs", "metrics", "plots")


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, its templates left as they are."""

    kind: str  # "teacher-dpo"
    desc: str  # one sentence
    script: str  # "stages/teacher_dpo.py"
    section: str | None  # the plural section whose rows it goes over: "rounds"
    settings: tuple[str, ...]  # sections that it depends on: ("seed", "teacher_dpo")
    folders: tuple[str, ...]  # folders of data/ into which it writes each row: ("teachers",)
    metrics: str | None  # folder of metrics/ with a file for each row: "teacher-dpo"
    by_name: Mapping[str, str]  # row keys that name a row: the folder of data/ that has these
    by_path: tuple[str, ...]  # row keys that are the folder and the name of a row: ("start",)
    files: tuple[str, ...]  # row keys that are the path of a file or folder: ("rows",)
    file_settings: tuple[tuple[str, str], ...]  # section and key of settings that are such a path
    own: tuple[str, ...]  # folders of data/ with an output of the same row that it reads
    changes: bool  # whether it depends on the whole row, so that the row may change settings
    options: Mapping[str, str] = field(hash=False)  # of the command: option without dashes: value
    deps: tuple[str, ...]
    outs: tuple[str, ...]  # with metrics and plots

    @property
    def code(self) -> str:
        """The name of the list of its script's code, under which its run times are kept too."""
        return Path(self.script).stem.replace("_", "-")


@dataclass(frozen=True)
class Graph:
    """The stages of dvc.yaml, in its order, and the folder in which it lies."""

    root: Path
    stages: tuple[Stage, ...]

    def stages_of(self, section: str) -> tuple[Stage, ...]:
        """The stages that go over the rows of a section."""
        return tuple(stage for stage in self.stages if stage.section == section)

    def writers_of(self, folder: str) -> tuple[Stage, ...]:
        """The stages that write rows into a folder of data/."""
        return tuple(stage for stage in self.stages if folder in stage.folders)

    def sections_of(self, folder: str) -> tuple[str, ...]:
        """The sections whose rows lie in a folder of data/: "teachers" has rounds, alignments."""
        sections = (stage.section for stage in self.writers_of(folder))
        return tuple(dict.fromkeys(section for section in sections if section))

    def row_sections(self) -> tuple[str, ...]:
        """The sections that stages go over the rows of."""
        return tuple(dict.fromkeys(stage.section for stage in self.stages if stage.section))

    def metrics_folders(self) -> tuple[str, ...]:
        """The folders of metrics/ into which stages write a file for each row."""
        return tuple(dict.fromkeys(stage.metrics for stage in self.stages if stage.metrics))


def read_graph(root: Path) -> Graph:
    """The stages of `root`/dvc.yaml.

    Raises MontessoriError if the file is missing or malformed, or if a stage has a form that this
    module does not know; the error names the stage and what to change.
    """
    stages = read_yaml(root / GRAPH).get("stages")
    if not isinstance(stages, Mapping):
        raise MontessoriError(
            f"the file has no stages, but {stages!r}", where=GRAPH, next=f"git checkout {GRAPH}"
        )
    return Graph(root, tuple(_read_stage(str(kind), entry) for kind, entry in stages.items()))


def _read_stage(kind: str, entry: Any) -> Stage:
    _require(kind, isinstance(entry, Mapping), "it is not a mapping", "keys such as cmd and deps")
    section, body = _split_foreach(kind, entry)
    unknown = [key for key in body if key not in _KEYS]
    _require(kind, not unknown, f"unknown keys: {', '.join(unknown)}", ", ".join(_KEYS))
    script, options = _read_command(kind, body.get("cmd"))
    deps = _paths(kind, body, "deps")
    outs = _paths(kind, body, "outs")
    metrics = _paths(kind, body, "metrics")
    inputs = [_read_input(kind, dep, section) for dep in deps]
    settings, changes = _read_params(kind, body.get("params", []), section)

    def having(form: str) -> Iterator[tuple[str, ...]]:
        return (groups for name, groups in inputs if name == form)

    return Stage(
        kind=kind,
        desc=str(body.get("desc", "")),
        script=script,
        section=section,
        settings=settings,
        folders=tuple(_written_folders(kind, outs, section)),
        metrics=_metrics_folder(kind, metrics, section),
        by_name={key: folder for folder, key in having("name")},
        by_path=tuple(key for (key,) in having("path")),
        files=tuple(key for (key,) in having("file")),
        file_settings=tuple((name, key) for name, key in having("setting")),
        own=tuple(folder for (folder,) in having("own")),
        changes=changes,
        options=options,
        deps=tuple(deps),
        outs=(*outs, *metrics, *_paths(kind, body, "plots")),
    )


def _split_foreach(kind: str, entry: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """The section that a stage goes over, None without one, and what it does with each row."""
    if "foreach" not in entry:
        return None, entry
    match = re.fullmatch(r"\$\{(\w+)\}", str(entry["foreach"]))
    body = entry.get("do")
    known = match is not None and isinstance(body, Mapping) and set(entry) == {"foreach", "do"}
    _require(kind, known, "its foreach is not over a section", "foreach: ${SECTION}, then do:")
    assert match is not None
    assert isinstance(body, Mapping)
    return match[1], body


def _read_command(kind: str, command: Any) -> tuple[str, dict[str, str]]:
    """The script of a command and its options with their values."""
    expected = "cmd: python -m stages.SCRIPT --OPTION VALUE ..."
    words = shlex.split(command) if isinstance(command, str) else []
    module = re.fullmatch(r"stages\.(\w+)", words[2]) if len(words) > 2 else None
    options, values = words[3::2], words[4::2]
    known = (
        words[:2] == ["python", "-m"]
        and len(options) == len(values)
        and all(option.startswith("--") for option in options)
    )
    _require(kind, known and module is not None, f"its cmd is {command!r}", expected)
    assert module is not None
    names = [option.removeprefix("--") for option in options]
    return f"stages/{module[1]}.py", dict(zip(names, values))


def _paths(kind: str, body: Mapping[str, Any], part: str) -> list[str]:
    """The paths of `deps`, `outs`, `metrics` or `plots`, without the options behind them."""
    entries = body.get(part, [])
    _require(kind, isinstance(entries, list), f"its {part} are no list", f"{part}: [PATH, ...]")
    paths = [
        next(iter(entry)) if isinstance(entry, Mapping) and len(entry) == 1 else entry
        for entry in entries
    ]
    odd = [path for path in paths if not isinstance(path, str)]
    _require(
        kind, not odd, f"{odd} in its {part}", "paths, each with options of its own if need be"
    )
    return paths


def _read_input(kind: str, path: str, section: str | None) -> tuple[str, tuple[str, ...]]:
    """The form of a dep, and the names in it."""
    for form, pattern in _INPUTS.items():
        match = re.fullmatch(pattern, path)
        if match:
            of_row = form in ("own", "name", "path", "file")
            _require(kind, section is not None or not of_row, f"dep {path} names a row", "foreach")
            return form, match.groups()
    raise _unknown_form(kind, f"dep {path} has an unknown form", _INPUT_FORMS)


def _read_params(kind: str, entries: Any, section: str | None) -> tuple[tuple[str, ...], bool]:
    """The sections of `params`, and whether the stage depends on its whole row."""
    row = f"{section}.${{key}}"
    known = isinstance(entries, list) and all(
        isinstance(entry, str) and (entry == row or re.fullmatch(r"\w+", entry))
        for entry in entries
    )
    expected = "names of whole sections" + (f', and "{row}" for the row' if section else "")
    _require(kind, known, f"its params are {entries!r}", expected)
    return tuple(entry for entry in entries if entry != row), row in entries


def _written_folders(kind: str, outs: Iterable[str], section: str | None) -> Iterator[str]:
    """The folders of data/ that have a row of each out."""
    for out in outs:
        if section is None:
            _require(kind, "${" not in out, f"out {out} names a row", "foreach, or no ${} in outs")
            continue
        match = re.fullmatch(rf"(?:data/{_WORD}|report/[\w/]+)/\$\{{key\}}(?:\.\w+)?", out)
        if match is None:
            raise _unknown_form(kind, f"out {out} has an unknown form", "data/FOLDER/${key}")
        if match[1]:
            yield match[1]


def _metrics_folder(kind: str, paths: list[str], section: str | None) -> str | None:
    """The folder of metrics/ that a stage writes into, None if it is metrics/ itself."""
    name = r"\$\{key\}" if section else r"[\w-]+"
    expected = "metrics/FOLDER/${key}.json" if section else "metrics/FOLDER/NAME.json"
    match = re.fullmatch(rf"metrics/(?:([\w/-]+)/)?{name}\.json", paths[0]) if paths else None
    _require(kind, len(paths) < 2 and bool(match or not paths), f"metrics are {paths}", expected)
    return match[1] if match else None


def _require(kind: str, known: bool, what: str, expected: str) -> None:
    if not known:
        raise _unknown_form(kind, what, expected)


def _unknown_form(kind: str, what: str, expected: str) -> MontessoriError:
    return MontessoriError(
        f"stage {kind}: {what}",
        where=GRAPH,
        expected=expected,
        next="write the stage in that form, or teach montessori/graph/stages.py the new one",
    )
