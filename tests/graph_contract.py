"""The contract between dvc.yaml and the stage scripts, as a checker.

A stage's deps must be exactly its inputs and the list of its script's code; its params exactly the
sections it reads; its command line exactly the paths it takes.
"""

import ast
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from montessori.pipeline.code import list_name, module_files

CODE = "data/code"  # where stage `code` writes the lists


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, its templates left as they are."""

    name: str
    script: str  # stages/x.py
    options: Mapping[str, str]  # option without dashes: value
    deps: frozenset[str]
    outs: frozenset[str]  # outs, metrics and plots
    params: frozenset[str]
    entry: Mapping[str, Any] = field(hash=False)

    @property
    def code(self) -> str:
        """The list of the script's code."""
        return f"{CODE}/{list_name(self.script)}"


def read_graph(root: Path) -> list[Stage]:
    """The stages of dvc.yaml."""
    from montessori.graph.load import load

    return [_stage(name, entry) for name, entry in load(root / "dvc.yaml")["stages"].items()]


def _stage(name: str, entry: Mapping[str, Any]) -> Stage:
    body = entry.get("do", entry)
    words = shlex.split(body["cmd"].replace("${", "$\\{"))
    if words[:2] != ["python", "-m"]:
        raise AssertionError(f"{name}: cmd does not start with python -m stages.<script>")
    options = dict(zip(words[3::2], words[4::2], strict=True))
    outs = [path for kind in ("outs", "metrics", "plots") for path in _paths(body.get(kind, []))]
    return Stage(
        name=name,
        script=words[2].replace(".", "/") + ".py",
        options={option.removeprefix("--"): value for option, value in options.items()},
        deps=frozenset(_paths(body.get("deps", []))),
        outs=frozenset(outs),
        params=frozenset(body.get("params", [])),
        entry=body,
    )


def _paths(entries: list[Any]) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


# ------------------------------------------------------------------------------------- scripts
def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@dataclass(frozen=True)
class Script:
    """What a stage script says that it reads."""

    options: tuple[str, ...]  # of run(main, ...)
    paths: frozenset[str]  # job.paths.<name>, with dashes
    params: frozenset[str]


def read_script(root: Path, script: str) -> Script:
    """Options, paths and params in the source of a stage script.

    A function of the package that is given the whole `job` is read too; names of paths are then
    the texts that it is given with it.
    """
    tree = ast.parse((root / script).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    options = [
        ast.literal_eval(text) for call in calls if _called(call) == "run" for text in call.args[1:]
    ]
    paths, params = _read(tree)
    for call in calls:
        if any(isinstance(argument, ast.Name) and argument.id == "job" for argument in call.args):
            texts = (node.value for node in ast.walk(call) if isinstance(node, ast.Constant))
            paths |= {text.replace("_", "-") for text in texts if isinstance(text, str)}
            more = _read(_definition(root, tree, _called(call)))
            paths, params = paths | more[0], params | more[1]
    return Script(tuple(options), frozenset(paths), frozenset(params - {"machine"}))


def _read(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names of paths and sections that are read off `job` below a node."""
    paths, params = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) == "section":
            params.add(ast.literal_eval(node.args[0]))
            rows = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg == "rows"}
            params |= {name + ".${key}" for name in rows.values()}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "job.row":
            params.add(ast.literal_eval(node.args[0]) + ".${key}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "job.metrics":
            paths.add("metrics")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "job.seed":
            params.add("seed")
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("job.paths", "paths"):
            paths.add(node.attr.replace("_", "-"))
    return paths, params


def _definition(root: Path, tree: ast.AST, name: str) -> ast.AST:
    """The function of the package that a script imports by this name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in [imported.name for imported in node.names]:
            path = next(module_files(root, node.module or ""), "")
            module = ast.parse((root / path).read_text(encoding="utf-8"))
            return next(n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == name)
    raise AssertionError(f"{name} is given the job, but not imported by name from the package")


# ------------------------------------------------------------------------------------ problems
def problems(root: Path, stage: Stage) -> list[str]:
    """Everything in which a stage's entry and its script disagree."""
    if not (root / stage.script).is_file():
        return [f"{stage.name}: {stage.script} does not exist"]
    script = read_script(root, stage.script)
    found = _code_problems(stage)
    found += _unequal("params", stage.params, "read", script.params)
    options = set(stage.options) - {"name"}
    found += _unequal("options in cmd", options, "options of run(main, ...)", set(script.options))
    found += _unequal("options of run(main, ...)", set(script.options), "used", script.paths)
    values = {value for option, value in stage.options.items() if option != "name"}
    inputs = {dep for dep in stage.deps if not dep.startswith(f"{CODE}/")}
    declared = inputs | stage.outs
    found += _unequal("inputs and outputs declared", declared, "passed in cmd", values)
    found += [f"{path} is both input and output" for path in sorted(inputs & stage.outs)]
    if "name" not in stage.options:
        found.append("cmd has no --name")
    return [f"{stage.name}: {problem}" for problem in found]


def _code_problems(stage: Stage) -> list[str]:
    """Whether the stage depends on the list of its script, and on no other."""
    lists = {dep for dep in stage.deps if dep.startswith(f"{CODE}/")}
    wanted = set() if CODE in stage.outs else {stage.code}
    found = [f"dep {path} is missing" for path in sorted(wanted - lists)]
    return found + [f"dep {path} is superfluous" for path in sorted(lists - wanted)]


def _unequal(
    left: str,
    here: set[str] | frozenset[str],
    right: str,
    there: set[str] | frozenset[str],
) -> list[str]:
    """Where two sets differ."""
    found = [f"{left}: {name} is not {right}" for name in sorted(here - there)]
    return found + [f"{right}: {name} is not in {left}" for name in sorted(there - here)]
