"""Plan the experiments of a proof, and name each by a digest of everything it depends on."""

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError
from montessori.graph.load import read_yaml
from montessori.graph.profiles import drop_removed_rows, merge_mappings, read_profile
from montessori.graph.stages import read_graph
from montessori.pipeline.code import find_loaded_files, script_of

CODE = "data/code/"  # lists of the code that stages load; stage `code` writes them
#: Stages that change no metric, because they only read what other stages made.
LOOKING = ("code", "compare", "outputs", "leaks-learned", "leaks-probed")
MOST_SEEDS = 1000  # of a proof: each is a run of the whole pipeline
LONGEST_SEED = 18  # digits
UNTRACKED = ("machine", "compare")  # sections that change no metric of a run
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")  # texts that an override needs no quotes for


@dataclass(frozen=True)
class Experiment:
    """One run of the whole pipeline: a student, a seed and overrides of params.yaml."""

    profile: str
    student: str
    seed: int
    digest: str
    overrides: tuple[str, ...]
    params: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name in `dvc exp show`; experiments with equal names have equal inputs."""
        return f"proof-{self.student}-{self.seed}-{self.digest}"


def parse_seeds(text: str) -> list[int]:
    """Parse `0-4,7` into [0, 1, 2, 3, 4, 7], each seed once, in the given order.

    Raises:
        MontessoriError: not numbers and ranges, an empty text, a falling range, or more than
            MOST_SEEDS.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not _is_seed(first) or (dash and not _is_seed(last)):
            raise _bad_seeds(text)
        low, high = int(first), int(last or first)
        if high < low or high - low >= MOST_SEEDS - len(seeds):
            raise _bad_seeds(text)
        seeds.extend(range(low, high + 1))
    # Unlike a set, a dict keeps the given order.
    return list(dict.fromkeys(seeds))


def _is_seed(text: str) -> bool:
    return text.isdecimal() and len(text) <= LONGEST_SEED


def _bad_seeds(text: str) -> MontessoriError:
    return MontessoriError(
        f"cannot read the seeds {text[:60]!r}",
        expected=f"numbers and rising ranges, such as 0-4 or 0,2,7-9; at most {MOST_SEEDS} seeds, "
        f"of at most {LONGEST_SEED} digits",
        next="make proof SEEDS=0-4",
    )


def plan_experiments(
    root: Path, profile: str, seeds: list[int], students: list[str], threads: int
) -> list[Experiment]:
    """List the experiments in the order of their start: all seeds of the first student first.

    The first student gets the rows of the profile. Later students reuse results that do not depend
    on a student (probes, the untuned teacher's dataset) through DVC's run cache.

    Raises:
        MontessoriError: an unknown profile, or a student that is no row of `models`.
    """
    project = Project(root)
    rows = project.read_profile(profile)
    _check_students(project.base, students)
    experiments = []
    for position, student in enumerate(students):
        extra = rows if position == 0 else {}
        for seed in seeds:
            params = project.merge_params(extra, student, seed)
            overrides = _override_options(project.base, extra, student, seed, threads)
            digest = project.digest_inputs(params)
            experiments.append(Experiment(profile, student, seed, digest, overrides, params))
    return experiments


class Project:
    """Today's code, graph and params, read once: everything that experiments depend on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base: Mapping[str, Any] = read_yaml(root / "params.yaml")
        self.graph = read_graph(root)
        stages = read_yaml(root / "dvc.yaml")["stages"]
        self.stages = {name: stage for name, stage in stages.items() if name not in LOOKING}
        self.named = _stage_inputs(root, self.stages)

    def read_profile(self, name: str) -> dict[str, Any]:
        """Read profiles/<name>.yaml; raises MontessoriError if it does not exist."""
        return read_profile(self.root / "profiles", name)

    def merge_params(self, extra: Mapping[str, Any], student: str, seed: int) -> dict[str, Any]:
        """The params of one experiment; `extra` is the content of its profile."""
        return _params_of(self.base, extra, student, seed)

    def digest_inputs(self, params: Mapping[str, Any]) -> str:
        """8 hex digits over everything that decides the metrics of an experiment."""
        return _digest_inputs(self.root, params, self.stages, self.named)


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


def _params_of(
    base: Mapping[str, Any], extra: Mapping[str, Any], student: str, seed: int
) -> dict[str, Any]:
    """Add the profile's rows, make `student` the student, and set the seed."""
    params = copy.deepcopy(drop_removed_rows(merge_mappings(base, extra)))
    params["models"]["student"]["path"] = params["models"][student]["path"]
    params["seed"] = seed
    return params


def _override_options(
    base: Mapping[str, Any], extra: Mapping[str, Any], student: str, seed: int, threads: int
) -> tuple[str, ...]:
    """Write the params as `-S` options of `dvc exp run`, with the number of threads."""
    options = [f"seed={seed}", f"machine.threads={threads}"]
    if student != "student":
        options.append(f"models.student.path={base['models'][student]['path']}")
    for section, rows in extra.items():
        if isinstance(rows, Mapping):
            for name, row in rows.items():
                # In DVC's overrides `++` adds a key or replaces it, without it a new key is an
                # error; `~` takes one out.
                taken = row is None
                change = (
                    f"~{section}.{name}" if taken else f"++{section}.{name}={_override_value(row)}"
                )
                options.append(change)
        else:
            options.append(f"++{section}={_override_value(rows)}")
    return tuple(options)


def _override_value(value: Any) -> str:
    """A value in the grammar of DVC's overrides (Hydra's)."""
    if isinstance(value, Mapping):
        return (
            "{" + ",".join(f"{key}:{_override_value(child)}" for key, child in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(_override_value, value)) + "]"
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _digest_inputs(
    root: Path, params: Mapping[str, Any], stages: Mapping[str, Any], named: set[Path]
) -> str:
    """8 hex digits over everything that decides an experiment's metrics.

    These are the params without machine settings, the graph, and the content of every file that the
    graph reads and does not make: code of its stages, sources, base models. Stages that change no
    metric are not part of it, so a change of the report does not need a new proof.
    """
    tracked = {key: value for key, value in params.items() if key not in UNTRACKED}
    text = json.dumps({"stages": stages, "params": tracked}, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=4)
    paths_in_params = {root / path for path in find_paths(tracked)}
    for path in sorted(_list_files(named | paths_in_params)):
        # The zero byte separates name and content, so that no two lists of files read alike.
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
    return digest.hexdigest()


def find_paths(params: Mapping[str, Any]) -> set[str]:
    """The texts of params that may be a path relative to the project, because of their slash."""
    return {text for text in _all_strings(params) if "/" in text}


def _stage_inputs(root: Path, stages: Mapping[str, Any]) -> set[Path]:
    """The files and folders that stages have as dependencies, and the code files they load."""
    deps: set[str] = set()
    for stage in stages.values():
        # A stage with rows has its dependencies below `do`, any other at its top.
        deps.update(stage.get("do", stage).get("deps", []))
    scripts = [script_of(dep.removeprefix(CODE)) for dep in deps if dep.startswith(CODE)]
    named = set().union(*find_loaded_files(root, scripts).values())
    # Templates and outputs of other stages are no inputs of the project. Base models below data/
    # come in through their paths in params.
    named |= {dep for dep in deps if "${" not in dep and not dep.startswith(("data/", "metrics/"))}
    return {root / name for name in named}


def _list_files(paths: set[Path]) -> set[Path]:
    """List the files among the paths and below their folders; missing paths are ignored."""
    files: set[Path] = set()
    for path in paths:
        if path.is_dir():
            files.update(inner for inner in path.rglob("*") if inner.is_file())
        elif path.is_file():
            files.add(path)
    return {path for path in files if "__pycache__" not in path.parts}


def _all_strings(value: Any) -> list[str]:
    """Collect all strings in nested dicts and lists."""
    if isinstance(value, str):
        return [value]
    children: list[Any] = []
    if isinstance(value, Mapping):
        children = list(value.values())
    elif isinstance(value, list):
        children = value
    strings: list[str] = []
    for child in children:
        strings += _all_strings(child)
    return strings
