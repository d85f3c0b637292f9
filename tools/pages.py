"""Writes the generated parts of the docs: lists of files, commands, params and stages, and the lab.

Run `python tools/pages.py`. The lists of files come from docstrings, the commands from the command
line itself, the params from `params_reference.py`, the stages from `stages_reference.py`, the
architectures from the record of `zoo.py`, the lab's tables from its families and the cards of its
base models. A test fails when a page is not current.
"""

from __future__ import annotations

import ast
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "docs/reference/modules.md",
    "docs/reference/commands.md",
    "docs/reference/params.md",
    "docs/reference/stages.md",
    "docs/reference/architectures.md",
    "docs/explanation/lab.md",
    "docs/reliability.md",
)

#: What stands in the root, one clause each.
TOP = {
    "dvc.yaml": "the graph: every stage, what it reads and writes",
    "dvc.lock": "the hashes of the last run, written by DVC",
    "params.yaml": "the rows that make the graph, and the settings of each stage",
    "profiles/": "other settings as data: `montessori profile NAME` merges one into params.yaml",
    "Makefile": "`make repro`, `make test`, `make proof`; `make help` lists them",
    "stages/": "one thin script per DVC stage",
    "montessori/": "the package: all algorithms",
    "data/": "outputs of the stages (DVC) and `micro/`, the lab's base models and sources (git)",
    "metrics/": "JSON per run and stage, plot data, the comparison and the proof (git)",
    "docs/": "tutorials, how-to pages, reference, explanations, results",
    "mkdocs.yml": "the docs as a site: `make docs`",
    "tests/": "the tests; they mirror the package",
    "tools/": "set-up of the environment, generated parts of the docs",
    "requirements/": "the lock file, and what differs with vLLM on a CPU",
    "pyproject.toml": "the package, its dependencies, settings of ruff, mypy and pytest",
    "CONTRIBUTING.md": "how to set up, test and add a stage; the house rules",
    "CHANGELOG.md": "what changed between versions",
    "LICENSE": "MIT",
    "README.md": "the front page",
    ".ci/": "`run`: what continuous integration runs",
    ".dvc/": "DVC's configuration",
    ".dvcignore": "what DVC does not look at",
    ".gitignore": "what git does not look at",
}


def clause(path: Path) -> str:
    """The first sentence of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"\.(?=\s|$)", paragraph, maxsplit=1)[0]


def top_level() -> list[str]:
    """Names in the root that git tracks or would track, folders with a slash."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    parts = [name.partition("/") for name in names.splitlines() if (ROOT / name).exists()]
    return sorted({first + slash for first, slash, _ in parts})


def root_table() -> str:
    """The root, in the order of `TOP`, one clause each."""
    return _table([(name, text) for name, text in TOP.items() if name in top_level()])


def modules() -> str:
    """Every module of the package: a table for each room, after one for the loose modules."""
    package = ROOT / "montessori"
    rooms = sorted(path.parent for path in package.glob("*/__init__.py"))
    parts = [_table(_modules(package, package.glob("*.py")))]
    for room in rooms:
        rows = _modules(room, room.rglob("*.py"))
        parts.append(f"### {room.name}\n\n{clause(room / '__init__.py')}.\n\n{_table(rows)}")
    return "\n\n".join(parts)


def _modules(folder: Path, paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Path below a folder and clause of its modules; files before sub-folders."""
    named = {path.relative_to(folder): path for path in paths}
    ordered = sorted(named, key=lambda name: (name.parent.parts, name.name))
    rows = [(name, clause(named[name])) for name in ordered if str(name) != "__init__.py"]
    return [
        (f"{name.parent.as_posix()}/" if name.name == "__init__.py" else name.as_posix(), text)
        for name, text in rows
    ]


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{name}` | {_cell(text)} |" for name, text in rows]
    return "\n".join(["| file | what it is |", "|---|---|", *lines])


def families() -> str:
    """A table of the lab's families with an instance of each."""
    from montessori.lab.families import FAMILIES

    lines = ["| family | subject | distinct | an instance | its answer |", "|---|---|---:|---|---|"]
    for name, family in sorted(FAMILIES.items(), key=lambda item: (item[1].subject, item[0])):
        turns = family.make_task(random.Random(1)).turns
        asked = " **then** ".join(_cell(turn.instruction) for turn in turns)
        answered = " **then** ".join(_cell(turn.response) for turn in turns)
        lines.append(f"| `{name}` | {family.subject} | {family.size:,} | {asked} | {answered} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def cards() -> str:
    """The base models side by side, from their cards."""
    found = {p.parent.name: json.loads(p.read_text()) for p in _cards()}
    if not found:
        return "The base models are not made yet: `make micro-base`."
    facts = list(dict.fromkeys(fact for card in found.values() for fact in card["facts"]))
    lines = ["| | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    for fact in facts:
        cells = (str(card["facts"].get(fact, "")) for card in found.values())
        lines.append(f"| {fact.replace('_', ' ')} | " + " | ".join(cells) + " |")
    for column in ("turn 1", "turn 2", "0 examples", "1 examples", "3 examples"):
        cells = (_mean(card["accuracy"], column) for card in found.values())
        lines.append(f"| accuracy, {column}, % | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cards() -> list[Path]:
    return sorted((ROOT / "data" / "micro").glob("*/card.json"))


def _mean(accuracy: dict[str, dict[str, float]], column: str) -> str:
    values = [row[column] for row in accuracy.values() if column in row]
    return f"{sum(values) / len(values):.1f}" if values else ""


def command_reference() -> str:
    """Every command of `montessori` with its arguments, options and defaults."""
    from typer.main import get_command

    from montessori.cli import app

    return "\n\n".join(_commands("montessori", get_command(app)))


def _commands(name: str, command: Any) -> Iterator[str]:
    """A section for a command, or for each command of a group; `command` is Typer's."""
    inner = getattr(command, "commands", None)
    if inner is not None:
        for child, child_command in inner.items():
            yield from _commands(f"{name} {child}", child_command)
        return
    usage = " ".join(filter(None, [name, *map(_usage, command.params)]))
    parts = [f"## {name}", _unwrapped(command.help), f"```\n{usage}\n```"]
    if command.params:
        rows = [_parameter_row(entry) for entry in command.params]
        head = ["| argument or option | default | what it is |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows]))
    yield "\n\n".join(parts)


def _usage(entry: Any) -> str:
    """`MODEL`, `[MODEL]` for an argument with a default, `--data DATA`; empty for other options."""
    name = entry.name.upper()
    if entry.param_type_name == "argument":
        return name if entry.required else f"[{name}]"
    return f"{entry.opts[0]} {entry.opts[0].strip('-').upper()}" if entry.required else ""


def _parameter_row(entry: Any) -> str:
    """A parameter's names, default and help as a line of a table."""
    if entry.param_type_name == "argument":
        names = f"`{entry.name.upper()}`"
    else:
        names = ", ".join(f"`{name}`" for name in (*entry.opts, *entry.secondary_opts))
    return f"| {names} | {_default(entry)} | {_cell(entry.help or '')} |"


def _default(entry: Any) -> str:
    """A parameter's default; of a switch, `on` or `off`."""
    if entry.required:
        return "required"
    if isinstance(entry.default, bool):
        return "on" if entry.default else "off"
    return "" if entry.default in (None, "") else f"`{entry.default}`"


def _unwrapped(text: str) -> str:
    """Help text with one line for each paragraph."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def params_reference() -> str:
    """Every section of params.yaml: its keys with types, units and meanings, and its stages."""
    from params_reference import describe_params

    return describe_params()


def stages_reference() -> str:
    """Every stage of dvc.yaml: what it does, reads and writes, its rows and settings."""
    from stages_reference import describe_stages

    return describe_stages()


def architectures() -> str:
    """What became of each check of each architecture."""
    from architectures import describe_architectures

    return describe_architectures()


def kills() -> str:
    """What came of the kills of the campaign."""
    from tools.campaign.kills_record import describe_kills

    return describe_kills()


def bad_input() -> str:
    """What came of the bad input of the campaign."""
    from tools.campaign.record import describe_record

    return describe_record()


BLOCKS = {
    "bad-input": bad_input,
    "architectures": architectures,
    "commands": command_reference,
    "params": params_reference,
    "stages": stages_reference,
    "root": root_table,
    "modules": modules,
    "kills": kills,
    "families": families,
    "cards": cards,
}


def render(page: str) -> str:
    """A page with its blocks written anew."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if found and closed:
            page = f"{before}{begin}\n{make()}\n{end}{after}"
    return page


def main() -> None:
    """Write the pages that are not current, and say which."""
    sys.path.insert(0, str(ROOT))
    for name in PAGES:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        if (new := render(text)) != text:
            path.write_text(new, encoding="utf-8")
            print(f"{name}: written")


if __name__ == "__main__":
    main()
