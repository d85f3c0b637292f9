"""Changes to params.yaml as a whole, checked before written: a round, a benchmark, a profile."""

import shutil
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.artifacts.atomic import atomic_path, sweep_partial
from montessori.commands.check import check_params
from montessori.errors import MontessoriError
from montessori.graph.edit import merge_changes, show_difference
from montessori.graph.load import parse_yaml, read_yaml
from montessori.graph.names import FORM, find_name_problem, suggest_name
from montessori.graph.profiles import read_profile
from montessori.graph.references import Rows, read_rows
from montessori.graph.rows import changes_of


def apply_round(params: Path, name: str, old: str, dry_run: bool = False) -> str:
    """Add the rows of round `name`, which starts from the teacher of round `old`.

    Returns the difference and what to do next. Raises MontessoriError if `old` does not exist or
    `name` does, or the result is not right; nothing is written then, nor with `dry_run`.
    """
    rows, _ = read_rows(read_yaml(params))
    return _apply_changes(params, standard_round(rows, name, old), dry_run)


def apply_benchmark(
    params: Path, task: str, shots: int, runs: Sequence[str], dry_run: bool = False
) -> str:
    """Add a row of `harnesses` for each run (all, if none is named): it takes the lm-eval task.

    Returns the difference and what to do next. Raises MontessoriError for a run that is not
    there; nothing is written then, nor with `dry_run`.
    """
    rows, _ = read_rows(read_yaml(params))
    return _apply_changes(params, {"harnesses": benchmark_rows(rows, task, shots, runs)}, dry_run)


def benchmark_rows(
    rows: Rows, task: str, shots: int, runs: Sequence[str]
) -> dict[str, dict[str, str | int]]:
    """Rows of `harnesses` by name; `shots` is -1 for the task's own number of examples."""
    known = rows["runs"]
    unknown = [run for run in runs if run not in known]
    if unknown:
        raise MontessoriError(
            f"no run {', '.join(unknown)}",
            where="params.yaml, section runs",
            expected=f"some of {', '.join(known) or 'no runs yet'}",
            next=f"montessori add benchmark {task}",
        )
    name = task if shots < 0 else f"{task}-{shots}shot"
    # The names of some tasks have signs that a row's name cannot have.
    return {
        suggest_name(f"{name}-{run}", "harnesses"): {
            "model": known[run].model,
            "task": task,
            "shots": shots,
        }
        for run in runs or known
    }


def apply_profile(params: Path, folder: Path, name: str, dry_run: bool = False) -> str:
    """Merge `<folder>/<name>.yaml` into params.

    Returns the difference and what to do next. Raises MontessoriError if there is no such profile
    or the result is not right; nothing is written then, nor with `dry_run`.
    """
    return _apply_changes(params, read_profile(folder, name), dry_run)


def standard_round(rows: Rows, name: str, old: str) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows of a standard round by section, with the settings of the round before it."""
    _require_name(name, f"montessori add round NAME --from {old}")
    if old not in rows["rounds"]:
        raise MontessoriError(
            f"no round {old!r}",
            where="params.yaml, section rounds",
            expected=f"one of {', '.join(rows['rounds']) or 'no rows yet'}",
            next="montessori add round NAME --from ROUND",
        )
    taken = [s for s in _ROUND if name in rows[s]]
    if taken:
        raise MontessoriError(
            f"{name!r} exists already",
            where=f"params.yaml, section {', '.join(taken)}",
            expected="a new name",
            next=f"montessori add round NAME --from {old}",
        )
    probe = rows["rounds"][old].probe
    # Rows of a round have its name by convention. Where one does not exist, `getattr` with None
    # gives the default.
    scored = _find_row(rows, "influences", name=old, probe=probe)
    warmed = _find_row(rows, "warmups", name=getattr(scored, "warmup", old), probe=probe)
    data = rows["datasets"].get(old)
    run = rows["runs"].get(old)
    student = getattr(rows["students"].get(old), "student", getattr(warmed, "student", "student"))
    teacher = f"teachers/{old}"
    seeds = getattr(rows["probes"].get(probe), "seeds", getattr(data, "seeds", "seed/seeds"))
    made: dict[str, dict[str, Any]] = {
        "probes": {"teacher": teacher, "seeds": seeds},
        "warmups": {"probe": name, "student": getattr(warmed, "student", student)},
        "influences": {
            "probe": name,
            "warmup": name,
            "reference": getattr(scored, "reference", "seed/reference"),
        },
        "rounds": {"scores": f"influence/{name}", "probe": name, "start": teacher},
        "datasets": {"teacher": f"teachers/{name}", "seeds": getattr(data, "seeds", seeds)},
        "students": {"dataset": name, "student": student},
        "runs": {"model": f"students/{name}", "against": getattr(run, "against", name)},
    }
    old_rows = {
        "probes": rows["probes"].get(probe),
        "warmups": warmed,
        "influences": scored,
        "rounds": rows["rounds"][old],
        "datasets": data,
        "students": rows["students"].get(old),
    }
    for section, row in old_rows.items():
        made[section] |= {k: getattr(row, k) for k in changes_of(section) if getattr(row, k, None)}
    return {section: {name: row} for section, row in made.items()}


def _require_name(name: str, command: str) -> None:
    """Raise MontessoriError for a name that `montessori check` would refuse."""
    problem = find_name_problem(name, "rounds")
    if problem:
        raise MontessoriError(
            f"{name!r} cannot be the name of a row: {problem}",
            where="params.yaml",
            expected=FORM,
            next=command.replace("NAME", suggest_name(name, "rounds")),
        )


_ROUND = ("probes", "warmups", "influences", "rounds", "datasets", "students", "runs")


def _find_row(rows: Rows, section: str, name: str, probe: str) -> Any:
    """The row of that name, else the first row on that probe, else None."""
    on_probe = (row for row in rows[section].values() if row.probe == probe)
    return rows[section].get(name) or next(on_probe, None)


def _apply_changes(params: Path, changes: Mapping[str, Any], dry_run: bool) -> str:
    old = params.read_text(encoding="utf-8-sig")
    new = merge_changes(old, changes)
    _check_text(new, params)
    shown = show_difference(old, new, params.name)
    if not shown:
        return f"{params.name} has these settings already"
    if dry_run:
        return shown + "\nnothing written (dry run)"
    _replace_text(params, new)
    return shown + f"\nwritten to {params.name}; next: dvc repro"


def _replace_text(path: Path, text: str) -> None:
    """Write a file at once, where its link points to and with the mode it has.

    Its byte-order mark and its line ends stay, so that a row is added and nothing else changes.
    """
    # Moving a file onto a link would replace the link, and a new file has the default mode.
    file = path.resolve()
    sweep_partial([file])
    before = file.read_bytes()
    encoding = "utf-8-sig" if before.startswith(BOM_UTF8) else "utf-8"
    newline = "\r\n" if b"\r\n" in before else "\n"
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding=encoding, newline=newline)
        shutil.copymode(file, temporary)


def _check_text(text: str, params: Path) -> None:
    """Check the new content before it is written: a mistake must not reach params.yaml."""
    check_params(parse_yaml(text, str(params)), root=params.parent)
