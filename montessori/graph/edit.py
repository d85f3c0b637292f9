"""Changes to the text of params.yaml that leave its comments and its layout alone.

A round trip of ruamel.yaml would not: it keeps a section's last comment together with the heading
of the next section, so that a new row lands below that heading, and reflows lines in other styles.
"""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from montessori.errors import MontessoriError
from montessori.graph.load import FILE

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# YAML 1.1 reads these as booleans or null.
YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def merge_changes(text: str, changes: Mapping[str, Any]) -> str:
    """`text` with `changes` merged in: mappings key by key, everything else replaced.

    A row that is None is taken out, with the comment on its line. New rows are appended to their
    section, new sections to the file. Raises MontessoriError if the text is no YAML mapping.
    """
    root = _compose(text)
    for path, value in _leaves(root, changes, ()):
        depth, node = _find(root, path)
        if value is None and len(path) > 1:
            text = _remove(text, root, path) if depth == len(path) else text
            root = _compose(text)
            continue
        if depth == len(path) and _source(text, node) == format_flow(value):
            continue
        text = _put(text, root, path, value)
        root = _compose(text)
    return text


def show_difference(old: str, new: str, file: str = FILE) -> str:
    """A unified diff of two texts; empty if they are equal."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), file, f"{file} (new)", n=1
    )
    return "".join(lines)


def _leaves(
    root: Any, changes: Mapping[str, Any], above: tuple[str, ...]
) -> list[tuple[tuple[str, ...], Any]]:
    """Where each value goes: as deep as the text has mappings, and as the changes have them."""
    leaves: list[tuple[tuple[str, ...], Any]] = []
    for key, value in changes.items():
        path = (*above, str(key))
        depth, node = _find(root, path)
        if isinstance(value, Mapping) and depth == len(path) and _pairs(node) is not None:
            leaves += _leaves(root, value, path)
        else:
            leaves.append((path, value))
    return leaves


def _source(text: str, node: Any) -> str:
    """How a node's value would be written here, to tell what changes nothing."""
    if node.id != "scalar" and not node.flow_style:
        return ""
    from ruamel.yaml import YAML

    written = text[node.start_mark.index : _end(node)]
    value = YAML(typ="safe", pure=True).load(written)
    return format_flow(value)


def _put(text: str, root: Any, path: tuple[str, ...], value: Any) -> str:
    depth, node = _find(root, path)
    if depth == len(path):
        return _replace(text, node, format_flow(value))
    key, rest = _format_key(path[depth]), path[depth + 1 :]
    for name in reversed(rest):
        value = {name: value}
    if depth == 0:
        return text.rstrip("\n") + f"\n\n{format_block(path[0], value)}\n"
    if not node.flow_style:
        return _append_line(text, node, f"{key}: {format_flow(value)}")
    if depth == 1 and not node.value:
        return _open_section(text, node, f"  {key}: {format_flow(value)}")
    inside = text[node.start_mark.index + 1 : node.end_mark.index - 1].strip()
    entries = [entry for entry in (inside, f"{key}: {format_flow(value)}") if entry]
    return _replace(text, node, "{" + ", ".join(entries) + "}")


def _remove(text: str, root: Any, path: tuple[str, ...]) -> str:
    """`text` without the entry at `path`; a section that is left with nothing becomes `{}`."""
    _, parent = _find(root, path[:-1])
    if len(parent.value) == 1:
        return _empty_section(text, root, path[:-1], parent)
    position = next(i for i, (key, _) in enumerate(parent.value) if key.value == path[-1])
    key, value = parent.value[position]
    if parent.flow_style:
        rest = [text[k.start_mark.index : _end(v)] for k, v in parent.value if k is not key]
        return _replace(text, parent, "{" + ", ".join(rest) + "}")
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    end = text.find("\n", _end(value))
    return text[:start] + (text[end + 1 :] if end >= 0 else "")


def _empty_section(text: str, root: Any, path: tuple[str, ...], section: Any) -> str:
    """`{}` for a section's entries; a comment behind the section's name stays."""
    if section.flow_style:
        return _replace(text, section, "{}")
    _, above = _find(root, path[:-1])
    name = next(key for key, _ in _pairs(above) or [] if key.value == path[-1])
    colon = text.index(":", name.end_mark.index) + 1
    line_end = text.index("\n", colon)
    return f"{text[:colon]} {{}}{text[colon:line_end]}{text[_end(section) :]}"


def _replace(text: str, node: Any, new: str) -> str:
    """Put `new` in the node's place; a comment behind it stays in its column if it can."""
    start, end = node.start_mark.index, _end(node)
    rest = text[end:]
    gap = re.match(r" +(?=#)", rest)
    # Only a comment on the same line has a column to keep.
    if gap:
        # YAML needs one blank before a comment; the project's files have two.
        width = max(2, len(gap.group()) - (len(new) - (end - start)))
        rest = " " * width + rest[gap.end() :]
    return text[:start] + new + rest


def _append_line(text: str, node: Any, line: str) -> str:
    """A new line below the last entry of a block mapping, in the column of its keys."""
    at = text.find("\n", _end(node))
    at = len(text) if at < 0 else at
    indent = " " * node.start_mark.column
    return f"{text[:at]}\n{indent}{line}{text[at:]}"


def _end(node: Any) -> int:
    """Index behind a node's last character; a block's own mark stands behind what follows it."""
    while node.id != "scalar" and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if node.id == "mapping" else last
    return int(node.end_mark.index)


def _open_section(text: str, node: Any, line: str) -> str:
    """`section: {}` becomes a block with its first row; a comment behind it stays."""
    start = len(text[: node.start_mark.index].rstrip())
    text = _replace(text, node, "")
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    head = text[start:end].rstrip()
    return f"{text[:start]}{head}\n{line}{text[end:]}"


def _compose(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise MontessoriError(
            f"not valid YAML: {error}", where=FILE, next=f"fix {FILE}, then montessori check"
        ) from error
    if node is None or _pairs(node) is None:
        raise MontessoriError("the file has no sections", where=FILE, next=f"git checkout {FILE}")
    return node


def _find(node: Any, path: tuple[str, ...]) -> tuple[int, Any]:
    """How many keys of the path exist, and the node of the last one that does."""
    for depth, key in enumerate(path):
        found = [value for name, value in _pairs(node) or [] if name.value == key]
        if not found:
            return depth, node
        node = found[0]
    return len(path), node


def _pairs(node: Any) -> list[tuple[Any, Any]] | None:
    """Key and value nodes of a mapping; None for anything else."""
    return node.value if node.id == "mapping" else None


# ------------------------------------------------------------------------------------- writing
def format_block(key: str, value: Any) -> str:
    """A section in block style: one line per entry, the entries in flow style."""
    if not isinstance(value, Mapping) or not value:
        return f"{_format_key(key)}: {format_flow(value)}"
    lines = (f"  {_format_key(name)}: {format_flow(entry)}" for name, entry in value.items())
    return "\n".join([f"{_format_key(key)}:", *lines])


def _format_key(key: Any) -> str:
    """A key of a mapping, in quotes where YAML would read it as something else than a text."""
    return format_flow(key) if isinstance(key, str) else str(key)


def format_flow(value: Any) -> str:
    """A value as YAML on one line, read alike by YAML 1.1 and 1.2 (floats keep their point)."""
    if isinstance(value, Mapping):
        entries = (f"{_format_key(key)}: {format_flow(entry)}" for key, entry in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(format_flow, value)) + "]"
    if isinstance(value, float):
        mantissa, mark, exponent = repr(value).partition("e")
        return mantissa + ("" if not mark or "." in mantissa else ".0") + mark + exponent
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
