"""The reference of params.yaml, from its own comments, the classes of its sections, and dvc.yaml.

A comment of params.yaml says what a key means and, in brackets at its end, the value of a published
source. The class of a section has types, limits and units; dvc.yaml has the stages.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
#: A source and its value, in brackets at the end of a comment; the page says what the names mean.
_SOURCE = re.compile(r"\s*\(((?:MI|ARTE|GPT-3|FastChat|AlpacaEval 2)\b.*)\)$")
_TYPES = {int: "whole number", float: "number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Comment:
    """What params.yaml says about a key: its meaning, and the value of a published source."""

    meaning: str
    source: str


def describe_params() -> str:
    """A section of Markdown for each section of params.yaml, in its order."""
    from montessori.graph.rows import ROWS

    classes = settings_classes()
    parts = []
    for name, values in read_params().items():
        if name in ROWS:
            parts.append(_describe_rows(name, ROWS[name]))
        elif name in classes:
            parts.append(_describe_settings(name, classes[name], values))
    return "\n\n".join(parts)


def read_params() -> Any:
    """params.yaml with its comments."""
    from ruamel.yaml import YAML

    return YAML().load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def settings_classes() -> dict[str, type[Any]]:
    """The class of each section of params.yaml that has no rows."""
    from montessori.commands.check import UNREAD
    from montessori.graph.scripts import find_settings_classes
    from montessori.pipeline.machine import Machine

    places = {name: place.split(":") for name, place in find_settings_classes(_graph()).items()}
    classes = {name: getattr(import_module(module), cls) for name, (module, cls) in places.items()}
    return {**classes, **UNREAD, "machine": Machine}


@cache
def _graph() -> Any:
    from montessori.graph.stages import read_graph

    return read_graph(ROOT)


# ------------------------------------------------------------------------------ settings
def _describe_settings(name: str, cls: type[Any], values: Any) -> str:
    from montessori.graph.edit import format_flow

    hints = get_type_hints(cls, include_extras=True)
    lines = []
    for field in fields(cls):
        kind, unit = describe_type(hints[field.name])
        comment = read_comment(values, field.name)
        default = f"`{format_flow(values[field.name])}`"
        lines.append([f"`{field.name}`", kind, unit, default, comment.meaning, comment.source])
    header = ("key", "type", "unit", "default", "meaning", "published")
    table = _table(header, lines)
    return f"## {name}\n\n{_purpose(cls)}\n{_name_readers(name)}\n\n{table}"


def read_comment(values: Any, key: str) -> Comment:
    """The comment beside a key of a section that was read with its comments; empty without one."""
    tokens = values.ca.items.get(key) or [None] * 3
    text = tokens[2].value.partition("\n")[0] if tokens[2] else ""
    text = text.removeprefix("#").strip()
    source = _SOURCE.search(text)
    return Comment(_SOURCE.sub("", text), source[1] if source else "")


def describe_type(hint: Any) -> tuple[str, str]:
    """A type with its limits in words, and its unit."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        text, unit = describe_type(arguments[0])
        limits = [str(limit) for limit in arguments[1:] if not isinstance(limit, str)]
        units = [each for each in arguments[1:] if isinstance(each, str)]
        text = ", ".join([" ".join([text, *limits[:1]]), *limits[1:]])
        return text, units[-1] if units else unit
    if origin is Literal:
        return _listed(arguments, "or"), ""
    if origin is tuple:
        return f"list of {describe_type(arguments[0])[0]}", ""
    if origin is dict:
        return f"mapping to {describe_type(arguments[1])[0]}", ""
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(kind)[0] for kind in arguments), ""
    return _TYPES.get(hint, "null"), ""


def _name_readers(section: str) -> str:
    """Which stages depend on a section, and which rows may replace its keys for themselves."""
    from montessori.graph.rows import ROWS, changes_of

    readers = [
        stage.kind
        for stage in _graph().stages
        if section in stage.settings or section in dict(stage.file_settings)
    ]
    rows = [name for name in ROWS if section in changes_of(name)]
    text = "Every stage reads it, and none reruns when it changes."
    if section != "machine":
        text = f"Read by {_listed(readers)}."
    return text + (f" A row of {_listed(rows, 'or')} may replace keys for itself." if rows else "")


# ---------------------------------------------------------------------------------- rows
def _describe_rows(section: str, cls: type[Any]) -> str:
    kinds = _listed(stage.kind for stage in _graph().stages_of(section))
    table = _table(("key", "value"), _row_keys(section, cls))
    return f"## {section}\n\n{_purpose(cls)}\nEach row is run by {kinds}.\n\n{table}"


def _row_keys(section: str, cls: type[Any]) -> Iterator[list[str]]:
    """Each key of a section's rows, and what its value may be."""
    from montessori.graph.rows import changes_of, names_of

    stages = _graph().stages_of(section)
    by_name = {key: folder for stage in stages for key, folder in stage.by_name.items()}
    files = {key for stage in stages for key in stage.files}
    hints, names = get_type_hints(cls, include_extras=True), names_of(cls)
    for field in fields(cls):
        key = field.name
        if key in names:
            forms = [*(f"{folder}/NAME" for folder in names[key].folders), *names[key].others]
            value = _listed(forms, "or")
        elif key in by_name:
            value = f"the name of a row of {_listed(_graph().sections_of(by_name[key]), 'or')}"
        elif key in changes_of(section):
            value = f"optional: keys of section [`{key}`](#{key}) for this row"
        else:
            value = "a path" if key in files else describe_type(hints[key])[0]
        yield [f"`{key}`", value]


# -------------------------------------------------------------------------------- Markdown
def _purpose(cls: type[Any]) -> str:
    """The first paragraph of a class's docstring, without the name of its section."""
    first = " ".join((cls.__doc__ or "").partition("\n\n")[0].split())
    text = re.sub(r"^Section `\w+`[:;,]? ?", "", first)
    return f"{text[:1].upper()}{text[1:]}"


def _listed(names: Iterable[Any], last: str = "and") -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in names]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]] if quoted[1:] else quoted)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table without the columns in which no row has something."""
    columns = [column for column in zip(header, *rows) if any(column[1:])]
    head, *lines = [[cell.replace("|", "\\|") for cell in line] for line in zip(*columns)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))
