"""Whether the comparison was made by the code and the params at hand, by what dvc.lock says."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from montessori.graph.load import load
from montessori.pipeline.code import list_code, script_of

LISTS = "data/code/"  # lists of the code that stages load, among their deps
PARAMS = "params.yaml"
MOST_NAMES = 4  # stages that the note names

Lock = Mapping[str, Mapping[str, Any]]  # stage -> its entry in dvc.lock
MISSING = object()


def older_note(root: Path, params: Mapping[str, Any]) -> str:
    """A line for below the table where older code or other params made it; empty if none did."""
    path = root / "dvc.lock"
    if not path.is_file():
        return ""
    lock = load(path)["stages"]
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
    """The stages that made what the stages `ends` are and read, in the order of the lock."""
    makers = {out["path"]: name for name, entry in lock.items() for out in entry.get("outs", [])}
    found: set[str] = set()
    waiting = [name for name in ends if name in lock]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            deps = [dep["path"] for dep in lock[name].get("deps", [])]
            read = [dep for dep in deps if not dep.startswith(LISTS)]
            waiting += [maker for dep in read for maker in _makers_of(makers, dep)]
    return [name for name in lock if name in found]


def _makers_of(makers: Mapping[str, str], path: str) -> list[str]:
    """The stages that made a path, what is below it, or the folder that holds it."""
    return [
        name
        for out, name in makers.items()
        if out == path or out.startswith(f"{path}/") or path.startswith(f"{out}/")
    ]


def older_stages(root: Path, params: Mapping[str, Any], lock: Lock) -> list[str]:
    """The stages of the lock whose list of code or whose params are not those at hand."""
    lists = {
        dep["path"]: dep["md5"]
        for entry in lock.values()
        for dep in entry.get("deps", [])
        if dep["path"].startswith(LISTS)
    }
    scripts = {path: script_of(path.removeprefix(LISTS)) for path in lists}
    there = [script for script in scripts.values() if (root / script).is_file()]
    texts = list_code(root, there)
    digests = {path: _md5(texts.get(script, "")) for path, script in scripts.items()}
    return [name for name, entry in lock.items() if not _is_current(entry, digests, params)]


def _is_current(
    entry: Mapping[str, Any], digests: Mapping[str, str], params: Mapping[str, Any]
) -> bool:
    """Whether a stage's entry has the digests of its lists of code and the values of its params."""
    code = [dep for dep in entry.get("deps", []) if dep["path"] in digests]
    values = entry.get("params", {}).get(PARAMS, {})
    return all(dep["md5"] == digests[dep["path"]] for dep in code) and all(
        _value_at(params, key) == value for key, value in values.items()
    )


def _value_at(params: Mapping[str, Any], key: str) -> Any:
    """The value under a key such as `synth.rows`; MISSING if there is none."""
    value: Any = params
    for part in key.split("."):
        value = value.get(part, MISSING) if isinstance(value, Mapping) else MISSING
    return value


def _md5(text: str) -> str:
    """MD5, because that is what dvc.lock holds."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
