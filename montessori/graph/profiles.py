"""Profiles: files of profiles/ with rows and settings to put into params.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError
from montessori.graph.load import load

INCLUDE = "include"  # the other profiles that a profile begins with


def read_profile(folder: Path, name: str) -> dict[str, Any]:
    """The sections of `<folder>/<name>.yaml`, on top of those of the profiles that it includes.

    Raises MontessoriError if there is no such profile, if profiles include each other, or if
    `include` is no list of names.
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
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise MontessoriError(
            f"no profile {name!r}",
            where=where,
            expected=f"one of {known}",
            next="montessori profile lab",
        )
    own = {name: value for name, value in load(path).items() if value is not None}
    whole: dict[str, Any] = {}
    for other in _included(own.pop(INCLUDE, []), path):
        whole = merged(whole, _read(folder, other, (*above, name)))
    return merged(whole, own)


def _included(value: Any, path: Path) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise MontessoriError(
            f"{INCLUDE} is {value!r}",
            where=str(path),
            expected="a list of other profiles, such as [arte]",
            next=f"fix {path.name}",
        )
    return value


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings as one, mappings in them too; elsewhere `above` replaces what is below."""
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        both[key] = merged(old, value) if nested else value  # type: ignore[arg-type]
    return both
