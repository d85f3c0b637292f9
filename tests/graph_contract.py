"""The contract between dvc.yaml, the stage scripts and the row classes, as a checker.

A stage's deps must be exactly its inputs and the list of its script's code; its params exactly the
sections it reads; its command line exactly the paths it takes. Each script belongs to a stage, and
each key that names a row by its folder has a type that says which folders.
"""

from collections.abc import Iterator, Set
from dataclasses import fields
from pathlib import Path

from montessori.graph.rows import ROWS, changes_of, names_of
from montessori.graph.scripts import Script, read_script
from montessori.graph.stages import CODE, Graph, Stage


def find_stage_problems(root: Path, stage: Stage) -> list[str]:
    """Everything in which a stage's entry and its script disagree."""
    if not (root / stage.script).is_file():
        return [f"{stage.kind}: {stage.script} does not exist"]
    script = read_script(root, stage.script)
    found = _code_problems(stage) + _params_problems(stage, script)
    options = set(stage.options) - {"name"}
    found += _unequal("options in cmd", options, "options of run(main, ...)", set(script.options))
    found += _unequal("options of run(main, ...)", set(script.options), "used", script.paths)
    values = {value for option, value in stage.options.items() if option != "name"}
    inputs = {dep for dep in stage.deps if not dep.startswith(f"{CODE}/")}
    declared = inputs | set(stage.outs)
    found += _unequal("inputs and outputs declared", declared, "passed in cmd", values)
    found += [f"{path} is both input and output" for path in sorted(inputs & set(stage.outs))]
    if "name" not in stage.options:
        found.append("cmd has no --name")
    return [f"{stage.kind}: {problem}" for problem in found]


def _code_problems(stage: Stage) -> list[str]:
    """Whether the stage depends on the list of its script, and on no other."""
    lists = {dep for dep in stage.deps if dep.startswith(f"{CODE}/")}
    wanted = set() if CODE in stage.outs else {f"{CODE}/{stage.code}"}
    found = [f"dep {path} is missing" for path in sorted(wanted - lists)]
    return found + [f"dep {path} is superfluous" for path in sorted(lists - wanted)]


def _params_problems(stage: Stage, script: Script) -> list[str]:
    """Whether the params are the sections that the script reads, and its own row if it reads it.

    A script of several stages may read the row of each one's section.
    """
    read = {*script.sections, *(["seed"] if script.seed else [])}
    found = _unequal("params", set(stage.settings), "read", read)
    row = f"{stage.section}.${{key}}"
    if stage.changes and stage.section not in script.rows:
        found.append(f"params: {row} is not read")
    if not stage.changes and stage.section in script.rows:
        found.append(f"read: {row} is not in params")
    return found


def _unequal(left: str, here: Set[str], right: str, there: Set[str]) -> list[str]:
    """Where two sets differ."""
    found = [f"{left}: {name} is not {right}" for name in sorted(here - there)]
    return found + [f"{right}: {name} is not in {left}" for name in sorted(there - here)]


def find_script_problems(graph: Graph) -> list[str]:
    """Stage scripts without a stage, and rows that a script reads though its stages do not."""
    used: dict[str, set[str | None]] = {}
    for stage in graph.stages:
        used.setdefault(stage.script, set()).add(stage.section)
    found = []
    for path in sorted((graph.root / "stages").glob("*.py")):
        script = f"stages/{path.name}"
        if script not in used:
            command = f"python -m stages.{path.stem} --name ..."
            found.append(
                f"{script}: no stage runs it; add one to dvc.yaml with cmd: {command}, or remove it"
            )
            continue
        odd = read_script(graph.root, script).rows - used[script]
        found += [
            f"{script}: reads rows of {rows}, but no stage of it goes over them" for rows in odd
        ]
    return found


def find_row_problems(graph: Graph) -> Iterator[str]:
    """Where the row classes and dvc.yaml disagree on which keys name rows, and which rows."""
    for section in graph.row_sections():
        if section in ROWS:
            yield from _class_problems(section, graph)
        else:
            missing = f'no class in montessori/graph/rows.py has @rows_of("{section}")'
            yield f"{section}: dvc.yaml goes over its rows, but {missing}"
    for section in sorted(set(ROWS) - set(graph.row_sections())):
        yield f"{section}: no stage in dvc.yaml has foreach: ${{{section}}}"


def _class_problems(section: str, graph: Graph) -> Iterator[str]:
    """Where the class of a section's rows and the stages that go over them disagree."""
    stages, typed = graph.stages_of(section), names_of(ROWS[section])
    place = f"class {ROWS[section].__name__} in montessori/graph/rows.py"
    by_path = {key for stage in stages for key in stage.by_path}
    for key in sorted(by_path - set(typed)):
        fix = f"give it a type: {key}: Annotated[str, Names((FOLDER, ...))]"
        yield f"{place}: key {key} names a row, as dvc.yaml reads data/${{item.{key}}}; {fix}"
    for key in sorted(set(typed) - by_path):
        yield f"{place}: key {key} has a type, but no stage reads data/${{item.{key}}}"
    for key, names in typed.items():
        for folder in names.folders:
            if not graph.writers_of(folder):
                yield f"{place}: key {key} may name {folder}/NAME, but no stage writes there"
    settings = {name for stage in stages for name in stage.settings if stage.changes}
    for key in sorted(set(changes_of(section)) - settings):
        yield f"{place}: key {key} replaces settings, but no stage reads section {key} and the row"
    known = {key.name for key in fields(ROWS[section])}
    read = {key for stage in stages for key in (*stage.by_name, *stage.by_path, *stage.files)}
    if any(stage.changes for stage in stages):  # the script is given the whole row
        read |= known
    for key in sorted(read - known):
        yield f"{place}: has no key {key}, which dvc.yaml reads as ${{item.{key}}}"
    for key in sorted(known - read):
        yield f"{place}: no stage in dvc.yaml reads key {key}"
