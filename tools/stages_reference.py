"""The reference of the stages, from dvc.yaml: what each reads and writes, its rows and settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from montessori.graph.stages import CODE, Graph, Stage, read_graph

ROOT = Path(__file__).resolve().parents[1]


def describe_stages(root: Path = ROOT) -> str:
    """A table of all stages of `root`/dvc.yaml, then a part of Markdown for each, in its order."""
    graph = read_graph(root)
    overview = [[f"[`{stage.kind}`](#{stage.kind})", stage.desc] for stage in graph.stages]
    parts = [_describe_stage(stage, graph) for stage in graph.stages]
    return "\n\n".join([_table(("stage", "what it does"), overview), *parts])


def _describe_stage(stage: Stage, graph: Graph) -> str:
    rows = "Runs once."
    if stage.section:
        rows = f"Runs once for each row of {_link_section(stage.section)}."
    facts = [
        ("script", [f"`{stage.script}`"]),
        ("reads", list(_list_inputs(stage, graph))),
        ("writes", [f"`{_show_path(path)}`" for path in stage.outs]),
        ("settings", [_link_section(name) for name in stage.settings]),
    ]
    lines = [f"- {fact}: {', '.join(values)}" for fact, values in facts if values]
    return f"## {stage.kind}\n\n{stage.desc}.\n{rows}\n\n" + "\n".join(lines)


def _list_inputs(stage: Stage, graph: Graph) -> Iterator[str]:
    """Each path that a stage reads, with the stages that write it; not the list of its code."""
    for path in stage.deps:
        if path.startswith(f"{CODE}/"):
            continue
        folder = re.match(r"data/([\w-]+)", path)
        writers = graph.writers_of(folder[1]) if folder else ()
        made_by = " or ".join(f"[{writer.kind}](#{writer.kind})" for writer in writers)
        yield f"`{_show_path(path)}`" + (f" (of {made_by})" if made_by else "")


def _show_path(path: str) -> str:
    """A path of dvc.yaml as people read it: `data/probe/PROBE`, `data/prefs/NAME`."""
    path = re.sub(r"\$\{item\.(\w+)\}", lambda match: match[1].upper(), path)
    return re.sub(r"\$\{(\w+\.\w+)\}", r"\1", path.replace("${key}", "NAME"))


def _link_section(section: str) -> str:
    """A section with a link to its keys; `seed` has none."""
    return f"`{section}`" if section == "seed" else f"[`{section}`](params.md#{section})"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header), ["---", "---"], *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
