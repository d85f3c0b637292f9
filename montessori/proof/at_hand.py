"""The records of metrics/proof, compared with the code, the params and the profiles at hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.graph.references import read_rows, references
from montessori.graph.rows import ROWS
from montessori.proof.experiments import UNTRACKED, Project

#: A record as it is on disk, or with the keys that `read_records` adds.
Record = Mapping[str, Any]
Params = Mapping[str, Any]


def read_records(root: Path) -> list[Record]:
    """All records below metrics/proof, each with three more keys.

    `profile` is the one it was made for. `older` says that its digest is not one that the code and
    the params at hand give: it was made by older code or with other params. `definitions` has a
    digest of each of its runs as params.yaml and the profile define it now, so that a run of two
    profiles can be seen to be the same; a profile that is gone has definitions of its own.

    Raises:
        MontessoriError: params, graph or code that cannot be read.
    """
    paths = sorted((root / "metrics" / "proof").glob("*/*.json"))
    project = Project(root) if paths else None
    return [_compared(project, path.parent.name, read_json(path)) for path in paths if project]


def _compared(project: Project, profile: str, record: Record) -> Record:
    variants = _possible_params(project, profile, record)
    digests = {project.digest(params) for params in variants}
    matching = [p for p in variants if set(p["runs"]) == set(record["order"])]
    params: Params = next(iter(matching or variants), {"runs": {}})
    return {
        **record,
        "profile": profile,
        "older": record.get("digest") not in digests,
        "definitions": define_runs(params, record["order"], profile),
    }


def _possible_params(project: Project, profile: str, record: Record) -> list[dict[str, Any]]:
    """The params that a record may be of: with the rows of its profile, as the first student of a
    proof gets them, and without. None if the profile or the student is gone."""
    try:
        extra = project.profile(profile)
    except MontessoriError:
        return []
    if record["student"] not in project.base["models"]:
        return []
    return [project.params(rows, record["student"], record["seed"]) for rows in (extra, {})]


def define_runs(params: Params, runs: Iterable[str], profile: str) -> dict[str, str]:
    """For each run a digest of the settings and of all rows that it follows from.

    A run that params lack is defined by the name of its profile alone.
    """
    rows, _ = read_rows(params)
    needs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for node, _, _, nodes in references(rows):
        needs.setdefault(node, []).extend(n for n in nodes if n[1] in rows[n[0]])
    hidden = {*ROWS, *UNTRACKED, "seed"}
    settings = {key: value for key, value in params.items() if key not in hidden}
    return {
        run: _digest([settings, _rows_behind(params, needs, run)])
        if run in params["runs"]
        else f"{profile}: {run}"
        for run in runs
    }


def _rows_behind(
    params: Params, needs: Mapping[tuple[str, str], list[tuple[str, str]]], run: str
) -> dict[str, Any]:
    """The rows that a run follows from, itself among them, by `section.name`."""
    found: dict[str, Any] = {}
    waiting = [("runs", run)]
    while waiting:
        section, name = waiting.pop()
        if f"{section}.{name}" not in found:
            found[f"{section}.{name}"] = params[section][name]
            waiting += needs.get((section, name), [])
    return found


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
