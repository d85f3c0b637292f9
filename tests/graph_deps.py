"""Prints what the deps of dvc.yaml lack: `python -m tests.graph_deps`; `--write` puts it there."""

import sys
from pathlib import Path

from tests.graph_contract import Stage, code_difference, read_graph


def report(root: Path) -> str:
    """One line per file that a stage's deps lack (+) or need not have (-)."""
    lines = []
    for stage in read_graph(root):
        if not (root / stage.script).is_file():
            lines.append(f"{stage.name}: {stage.script} does not exist")
            continue
        missing, superfluous = code_difference(root, stage)
        if missing or superfluous:
            lines.append(f"{stage.name}:")
            lines += [f"  + {path}" for path in missing]
            lines += [f"  - {path}" for path in superfluous]
    return "\n".join(lines) or "dvc.yaml names every file that its stages load"


def written(root: Path) -> str:
    """The text of dvc.yaml with the code files of every stage behind its script, in order."""
    text = (root / "dvc.yaml").read_text(encoding="utf-8")
    for stage in read_graph(root):
        if not (root / stage.script).is_file():
            continue
        missing, superfluous = code_difference(root, stage)
        text = _rewrite(text, stage, missing, superfluous)
    return text


def _rewrite(text: str, stage: Stage, missing: list[str], superfluous: list[str]) -> str:
    lines = text.split("\n")
    script, code = stage.script, stage.code
    head = lines.index(f"  {stage.name}:")  # several stages may run one script
    start = next(i for i in range(head, len(lines)) if lines[i].strip() == f"- {script}")
    indent = lines[start][: -len(f"- {script}")]
    end = start
    while lines[end].startswith(f"{indent}- "):
        end += 1
    kept = [line for line in lines[start:end] if line.strip()[2:] not in code | {*superfluous}]
    files = sorted((code | {*missing}) - {*superfluous, script})
    return "\n".join(
        [
            *lines[:start],
            lines[start],
            *(f"{indent}- {file}" for file in files),
            *kept,
            *lines[end:],
        ]
    )


if __name__ == "__main__":
    here = Path()
    if "--write" in sys.argv[1:]:
        (here / "dvc.yaml").write_text(written(here), encoding="utf-8")
    print(report(here))
