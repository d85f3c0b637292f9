"""Read the records of metrics/proof and compare them with today's code, params and profiles."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.graph.references import find_references, read_rows
from montessori.graph.rows import ROWS
from montessori.graph.stages import Graph
from montessori.proof.experiments import UNTRACKED, Project

#: A record as it is on disk, or with the keys that `read_records` adds.
Record = Mapping[str, Any]
Params = Mapping[str, Any]
Row = tuple[str, str]  # section and name of a row of params.yaml


def read_records(root: Path) -> list[Record]:
    """Read all records below metrics/proof and add three keys to each.

    profile: the profile that the record was made for.
    older: whether today's code and params give another digest than the record's, so that it was
        made by older code or with other params.
    definitions: for each run a digest of its definition in params.yaml and the profile today. Runs
        of two profiles with equal digests are the same run. If the profile no longer exists, the
        digest is unlike any other.

    Raises:
        MontessoriError: unreadable params, graph or code.
    """
    paths = sorted((root / "metrics" / "proof").glob("*/*.json"))
    if not paths:  # a project without records need not have a readable graph
        return []
    project = Project(root)
    return [_compare_record(project, path.parent.name, read_json(path)) for path in paths]


def _compare_record(project: Project, profile: str, record: Record) -> Record:
    """Add `profile`, `older` and `definitions` to a record."""
    variants = _possible_params(project, profile, record)
    digests = {project.digest_inputs(params) for params in variants}
    # The first student of a proof has the profile's rows, later ones do not; the record's runs tell
    # which of the two it was.
    matching = [p for p in variants if set(p["runs"]) == set(record["order"])]
    params: Params = next(iter(matching or variants), {"runs": {}})
    return {
        **record,
        "profile": profile,
        "older": record.get("digest") not in digests,
        "definitions": define_runs(params, project.graph, record["order"], profile),
    }


def _possible_params(project: Project, profile: str, record: Record) -> list[dict[str, Any]]:
    """List the params that may have made a record; empty if its profile or student is gone.

    These are the params with the profile's rows, which the first student of a proof gets, and
    without them.
    """
    try:
        extra = project.read_profile(profile)
    except MontessoriError:
        return []
    if record["student"] not in project.base["models"]:
        return []
    student, seed = record["student"], record["seed"]
    return [project.merge_params(rows, student, seed) for rows in (extra, {})]


def define_runs(params: Params, graph: Graph, runs: Iterable[str], profile: str) -> dict[str, str]:
    """Give each run a digest of all settings and of the rows that it depends on.

    A run that the params lack is defined by the name of its profile alone.
    """
    rows, _ = read_rows(params)
    needs: dict[Row, list[Row]] = {}
    for ref in find_references(rows, graph):
        existing = [(section, name) for section, name in ref.targets if name in rows[section]]
        needs.setdefault(ref.row, []).extend(existing)
    # Rows count below, and only those behind the run. The seed is no part of what a run is.
    hidden = {*ROWS, *UNTRACKED, "seed"}
    settings = {key: value for key, value in params.items() if key not in hidden}
    definitions = {}
    for run in runs:
        if run in params["runs"]:
            definitions[run] = _digest_value([settings, _rows_behind(params, needs, run)])
        else:
            definitions[run] = f"{profile}: {run}"
    return definitions


def _rows_behind(params: Params, needs: Mapping[Row, list[Row]], run: str) -> dict[str, Any]:
    """Collect the rows that a run depends on, its own row included, by `section.name`."""
    collected: dict[str, Any] = {}
    waiting = [("runs", run)]
    while waiting:
        section, name = waiting.pop()
        if f"{section}.{name}" not in collected:
            collected[f"{section}.{name}"] = params[section][name]
            waiting += needs.get((section, name), [])
    return collected


def _digest_value(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
