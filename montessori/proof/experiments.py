"""Which experiments a proof consists of, and when one counts as the same experiment."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError
from montessori.graph.load import load
from montessori.graph.profiles import merged, read_profile
from montessori.pipeline.code import find_loaded_files, script_of

CODE = "data/code/"  # lists of the code that stages load; stage `code` writes them
LOOKING = ("code", "compare", "outputs", "leaks-learned", "leaks-probed")  # they change no metric
UNTRACKED = ("machine", "compare")  # sections that change no metric of a run
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")  # texts that an override needs no quotes for


@dataclass(frozen=True)
class Experiment:
    """One run of the whole pipeline: a student, a seed, the overrides of params.yaml."""

    profile: str
    student: str
    seed: int
    digest: str
    overrides: tuple[str, ...]
    params: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name in `dvc exp show`; equal names mean equal inputs."""
        return f"proof-{self.student}-{self.seed}-{self.digest}"


def parse_seeds(text: str) -> list[int]:
    """`0-4,7` -> [0, 1, 2, 3, 4, 7], each once, in the order given.

    Raises:
        MontessoriError: not numbers and ranges, an empty or a falling range.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise _bad_seeds(text)
        low, high = int(first), int(last or first)
        if high < low:
            raise _bad_seeds(text)
        seeds.extend(range(low, high + 1))
    return list(dict.fromkeys(seeds))


def _bad_seeds(text: str) -> MontessoriError:
    return MontessoriError(
        f"seeds are not readable: {text!r}",
        expected="numbers and rising ranges, such as 0-4 or 0,2,7-9",
        next="make proof SEEDS=0-4",
    )


def plan(
    root: Path, profile: str, seeds: list[int], students: list[str], threads: int
) -> list[Experiment]:
    """The experiments in the order they are started: all seeds of the first student first.

    The first student of `students` gets the rows of the profile. A later student shares what does
    not depend on it (probes, the untouched teacher's dataset) through DVC's run cache.

    Raises:
        MontessoriError: a profile that is not there, a student that `models` does not name.
    """
    project = Project(root)
    rows = project.profile(profile)
    _check_students(project.base, students)
    experiments = []
    for position, student in enumerate(students):
        extra = rows if position == 0 else {}
        for seed in seeds:
            params = project.params(extra, student, seed)
            overrides = _overrides(project.base, extra, student, seed, threads)
            digest = project.digest(params)
            experiments.append(Experiment(profile, student, seed, digest, overrides, params))
    return experiments


class Project:
    """The code, the graph and the params at hand, read once: what experiments follow from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base: Mapping[str, Any] = load(root / "params.yaml")
        graph = load(root / "dvc.yaml")["stages"]
        self.stages = {name: stage for name, stage in graph.items() if name not in LOOKING}
        self.named = _named(root, self.stages)

    def profile(self, name: str) -> dict[str, Any]:
        """The rows and settings of profiles/<name>.yaml. Raises MontessoriError without one."""
        return read_profile(self.root / "profiles", name)

    def params(self, extra: Mapping[str, Any], student: str, seed: int) -> dict[str, Any]:
        """The params of one experiment, `extra` being what its profile adds to params.yaml."""
        return _merged(self.base, extra, student, seed)

    def digest(self, params: Mapping[str, Any]) -> str:
        """8 hex digits over all that decides the metrics of an experiment with these params."""
        return _digest(self.root, params, self.stages, self.named)


def _check_students(params: Mapping[str, Any], students: list[str]) -> None:
    known = [name for name in params["models"] if name.startswith("student")]
    unknown = [name for name in students if name not in known]
    if unknown or not students:
        raise MontessoriError(
            f"no such student: {', '.join(unknown) or '(none given)'}",
            where="params.yaml, models",
            expected=" or ".join(known),
            next=f"montessori proof --students {','.join(known)}",
        )


def _merged(
    base: Mapping[str, Any], extra: Mapping[str, Any], student: str, seed: int
) -> dict[str, Any]:
    """The params of one experiment: the rows added, the student in its role, the seed set."""
    params = copy.deepcopy(merged(base, extra))
    params["models"]["student"]["path"] = base["models"][student]["path"]
    params["seed"] = seed
    return params


def _overrides(
    base: Mapping[str, Any], extra: Mapping[str, Any], student: str, seed: int, threads: int
) -> tuple[str, ...]:
    """The same as `-S` options of `dvc exp run` (machine settings too, which change no result)."""
    options = [f"seed={seed}", f"machine.threads={threads}"]
    if student != "student":
        options.append(f"models.student.path={base['models'][student]['path']}")
    for section, rows in extra.items():
        entries = rows.items() if isinstance(rows, Mapping) else [("", rows)]
        options += [f"++{section}{'.' if name else ''}{name}={_option(v)}" for name, v in entries]
    return tuple(options)


def _option(value: Any) -> str:
    """A value in the grammar of DVC's overrides (Hydra's)."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_option(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_option, value)) + "]"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _digest(
    root: Path, params: Mapping[str, Any], stages: Mapping[str, Any], named: set[Path]
) -> str:
    """8 hex digits over all that decides an experiment's metrics.

    These are the params (without machine settings), the graph, and the content of every file
    that the graph reads and does not make: the code that its stages load, sources, base models.
    Stages that only look at what others made are left out, so that a change of the report does not
    call for a new proof.
    """
    tracked = {key: value for key, value in params.items() if key not in UNTRACKED}
    text = json.dumps({"stages": stages, "params": tracked}, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=4)
    for path in sorted(
        _below(named | {root / value for value in _strings(tracked) if "/" in value})
    ):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
    return digest.hexdigest()


def _named(root: Path, stages: Mapping[str, Any]) -> set[Path]:
    """The files and folders that stages themselves name as deps, or whose code they load."""
    deps = {dep for stage in stages.values() for dep in stage.get("do", stage).get("deps", [])}
    scripts = [script_of(dep.removeprefix(CODE)) for dep in deps if dep.startswith(CODE)]
    named = set().union(*find_loaded_files(root, scripts).values())
    named |= {dep for dep in deps if "${" not in dep and not dep.startswith(("data/", "metrics/"))}
    return {root / name for name in named}


def _below(paths: set[Path]) -> set[Path]:
    """The files among paths and in their folders; a path where nothing is counts for nothing."""
    files: set[Path] = set()
    for path in paths:
        if path.is_dir():
            files.update(inner for inner in path.rglob("*") if inner.is_file())
        elif path.is_file():
            files.add(path)
    return {path for path in files if "__pycache__" not in path.parts}


def _strings(value: Any) -> list[str]:
    """All strings in nested dicts and lists."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [text for child in value for text in _strings(child)] if isinstance(value, list) else []
