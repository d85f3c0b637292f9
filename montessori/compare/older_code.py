"""Tells whether other code or params than those at hand made the comparison, by dvc.lock."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from montessori.graph.load import read_yaml
from montessori.pipeline.code import list_code, script_of

LISTS = "data/code/"  # lists of the code that stages load, among their deps
PARAMS = "params.yaml"
MOST_NAMES = 4  # stages that the note names

Lock = Mapping[str, Mapping[str, Any]]  # stage -> its entry in dvc.lock
MISSING = object()


def older_note(root: Path, params: Mapping[str, Any]) -> str:
    """A line for below the table when older code or other params made it; otherwise empty."""
    path = root / "dvc.lock"
    if not path.is_file():
        return ""
    lock = read_yaml(path)["stages"]
    behind = stages_behind(lock, [f"eval@{run}" for run in params.get("runs", {})])
    older = older_stages(root, params, {name: lock[name] for name in behind})
    if not older:
        return ""
    named = ", ".join(older[:MOST_NAMES]) + (", ..." if len(older) > MOST_NAMES else "")
    return (
        f"Recorded by older code: {len(older)} of the {len(behind)} stages behind these figures "
        f"ran with other code or params than those at hand ({named}). Next: dvc repro."
    )


def stages_behind(lock: Lock, ends: Iterable[str]) -> list[str]:
    """The stages `ends` and all stages whose outputs they read, in the order of the lock."""
    makers = {}
    for name, entry in lock.items():
        for out in entry.get("outs", []):
            makers[out["path"]] = name
    behind: set[str] = set()
    waiting = [name for name in ends if name in lock]
    while waiting:
        name = waiting.pop()
        if name in behind:
            continue
        behind.add(name)
        for path, _ in _deps_of(lock[name]):
            # Every stage reads its list of code, and the stage that makes the lists reads all code.
            if not path.startswith(LISTS):
                waiting += _makers_of(makers, path)
    return [name for name in lock if name in behind]


def _deps_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Paths that a stage read, with their MD5 if the lock has one."""
    for dep in entry.get("deps", []):
        yield dep["path"], dep.get("md5")


def _makers_of(makers: Mapping[str, str], path: str) -> list[str]:
    """The stages that made a path, a file below it, or the folder that holds it."""
    names = []
    for out, name in makers.items():
        if out == path or out.startswith(f"{path}/") or path.startswith(f"{out}/"):
            names.append(name)
    return names


def older_stages(root: Path, params: Mapping[str, Any], lock: Lock) -> list[str]:
    """The stages of the lock whose list of code or whose params are not those at hand."""
    scripts = {}  # by the path of their list
    for entry in lock.values():
        for path, _ in _deps_of(entry):
            if path.startswith(LISTS):
                scripts[path] = script_of(path.removeprefix(LISTS))
    existing = [script for script in scripts.values() if (root / script).is_file()]
    texts = list_code(root, existing)
    digests = {path: _md5(texts.get(script, "")) for path, script in scripts.items()}
    return [name for name, entry in lock.items() if not _is_current(entry, digests, params)]


def _is_current(
    entry: Mapping[str, Any], digests: Mapping[str, str], params: Mapping[str, Any]
) -> bool:
    """Whether a stage ran with the code and the params at hand.

    digests: MD5 of each list of code, by its path.
    """
    for path, md5 in _deps_of(entry):
        if path in digests and md5 != digests[path]:  # other deps change by their own stages
            return False
    recorded = entry.get("params", {}).get(PARAMS, {})
    return all(_value_at(params, key) == value for key, value in recorded.items())


def _value_at(params: Mapping[str, Any], key: str) -> Any:
    """The value under a key such as `synth.rows`; MISSING if there is none."""
    value: Any = params
    for part in key.split("."):
        value = value.get(part, MISSING) if isinstance(value, Mapping) else MISSING
    return value


def _md5(text: str) -> str:
    """MD5, because that is what dvc.lock holds."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
