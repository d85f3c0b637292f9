"""Profiles: files of profiles/ with rows and settings to put into params.yaml.

A row that is null in a profile takes the row of that name out.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError
from montessori.graph.load import FILE, parse_yaml, read_yaml

INCLUDE = "include"  # the other profiles that a profile begins with
LAB = "lab"  # the profile without a file: params.yaml as it was committed
DEEPEST = 20  # levels of lists and mappings
OWN = ("seed", "machine")  # sections that a person sets for one run or one machine


def read_profile(folder: Path, name: str) -> dict[str, Any]:
    """The sections of `<folder>/<name>.yaml`, on top of those of the profiles that it includes.

    `lab` needs no file: it is params.yaml beside the folder as it was committed last, without
    `seed` and `machine`. Raises MontessoriError if there is no such profile, if profiles include
    each other, if `include` is no list of names, or if git has no params.yaml.
    """
    return _read(folder, name, ())


def _read(folder: Path, name: str, above: tuple[str, ...]) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    where = f"{folder / above[-1]}.yaml, {INCLUDE}" if above else str(folder)
    if name in above:
        raise MontessoriError(
            f"profiles include each other: {' -> '.join((*above, name))}",
            where=where,
            next=f"take a name out of {INCLUDE} in one of them",
        )
    if name == LAB and not path.is_file():
        return _committed_params(folder.parent)
    if not (Path(name).name == name and path.is_file()):
        known = ", ".join(sorted({LAB, *(file.stem for file in folder.glob("*.yaml"))}))
        raise MontessoriError(
            f"no profile {name[:60]!r}",
            where=where,
            expected=f"one of {known}",
            next="montessori profile lab",
        )
    # A section with nothing below it is None in YAML, which would replace all its rows.
    sections = read_yaml(path)
    _require_plain(sections, path)
    own = {name: value for name, value in sections.items() if value is not None}
    whole: dict[str, Any] = {}
    for other in _included(own.pop(INCLUDE, []), path):
        whole = merge_mappings(whole, _read(folder, other, (*above, name)))
    return merge_mappings(whole, own)


def _require_plain(value: Any, path: Path, depth: int = 0) -> None:
    """Raise MontessoriError for values that YAML knows and params.yaml has not: dates, bytes."""
    if isinstance(value, Mapping | list) and depth < DEEPEST:
        for entry in value.values() if isinstance(value, Mapping) else value:
            _require_plain(entry, path, depth + 1)
    elif not (value is None or isinstance(value, bool | int | float | str)):
        what = "lists or mappings too deep within one another"
        if depth < DEEPEST:
            what = f"YAML reads a {type(value).__name__}: {str(value)[:60]}"
        raise MontessoriError(
            what,
            where=str(path),
            expected="texts, numbers, true, false, null, and lists and mappings of them",
            next=f"put it in quotes, or take it out of {path.name}",
        )


def _committed_params(root: Path) -> dict[str, Any]:
    try:
        done = subprocess.run(
            # `./` makes the path relative to the folder: the project may lie below git's root.
            ["git", "show", f"HEAD:./{FILE}"],
            cwd=root,
            capture_output=True,
            text=True,
        )
        problem = done.stderr.strip()
    except OSError as error:
        done, problem = None, str(error)
    if done is None or done.returncode:
        raise MontessoriError(
            f"git has no {FILE} to take the profile {LAB} from: {problem}",
            where=str(root),
            expected=f"a clone of the repository, where git holds the {FILE} that ships",
            next="git clone the repository, or name another profile",
        )
    sections = parse_yaml(done.stdout, f"{FILE} of the last commit")
    return {name: value for name, value in sections.items() if name not in OWN}


def _included(value: Any, path: Path) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise MontessoriError(
            f"{INCLUDE} is {value!r}",
            where=str(path),
            expected="a list of other profiles, such as [arte]",
            next=f"fix {path.name}",
        )
    return value


def drop_removed_rows(params: Mapping[str, Any]) -> dict[str, Any]:
    """Params without the rows that a profile takes out: those that are null."""
    return {
        section: {name: row for name, row in rows.items() if row is not None}
        if isinstance(rows, Mapping)
        else rows
        for section, rows in params.items()
    }


def merge_mappings(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings as one, mappings in them too; elsewhere `above` replaces what is below."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        both[key] = merge_mappings(old, value) if nested else value  # type: ignore[arg-type]
    return both
