"""Stage scripts as data: the options they take and the sections they read, from their source."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from montessori.errors import MontessoriError
from montessori.graph.stages import Graph


@dataclass(frozen=True)
class Script:
    """What a stage script says that it takes and reads."""

    options: tuple[str, ...]  # of run(main, ...)
    paths: frozenset[str]  # job.paths.<name>, with dashes
    sections: Mapping[str, str]  # section that it reads: its class as MODULE:CLASS, "" for others
    rows: frozenset[str]  # plural sections of which it reads its own row
    seed: bool  # whether it reads job.seed


def find_settings_classes(graph: Graph) -> dict[str, str]:
    """The class of each section of settings that a stage script reads, as MODULE:CLASS."""
    scripts = dict.fromkeys(stage.script for stage in graph.stages)
    classes: dict[str, str] = {}
    for script in scripts:
        for section, cls in read_script(graph.root, script).sections.items():
            if cls:
                classes[section] = cls
    return classes


def read_script(root: Path, script: str) -> Script:
    """What the source of a stage script says.

    A function of the package that is given the whole `job` is read too; names of paths are then
    the texts that it is given with it. Raises MontessoriError if the script is missing or is no
    Python, or if such a function is not imported by name from the package.
    """
    tree = _parse_file(root, script)
    reading = _Reading()
    reading.add_tree(tree, tree)
    options: list[str] = []
    for call in _walk_calls(tree):
        if _called_name(call) == "run":
            options += [ast.literal_eval(text) for text in call.args[1:]]
        if any(isinstance(argument, ast.Name) and argument.id == "job" for argument in call.args):
            texts = (node.value for node in ast.walk(call) if isinstance(node, ast.Constant))
            reading.paths |= {text.replace("_", "-") for text in texts if isinstance(text, str)}
            module, function = _find_function(root, tree, _called_name(call), script)
            reading.add_tree(function, module)
    return Script(
        tuple(options),
        frozenset(reading.paths),
        reading.sections,
        frozenset(reading.rows),
        reading.seed,
    )


class _Reading:
    """What is read off `job`, gathered over a script and the functions that it gives its job."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.sections: dict[str, str] = {}
        self.rows: set[str] = set()
        self.seed = False

    def add_tree(self, tree: ast.AST, module: ast.AST) -> None:
        """Add what is read below a node; `module` has the imports that name its classes."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                self._add_call(node, module)
            elif isinstance(node, ast.Attribute):
                self.seed |= ast.unparse(node) == "job.seed"
                if ast.unparse(node.value) in ("job.paths", "paths"):
                    self.paths.add(node.attr.replace("_", "-"))

    def _add_call(self, call: ast.Call, module: ast.AST) -> None:
        function = ast.unparse(call.func)
        if function == "job.section":
            section = ast.literal_eval(call.args[0])
            self.sections[section] = _imported_name(module, call.args[1])
            for value in [*call.args[2:], *(keyword.value for keyword in call.keywords)]:
                rows = ast.literal_eval(value)
                self.rows |= {rows} if isinstance(rows, str) else set(rows)
        elif function == "job.row":
            self.rows.add(ast.literal_eval(call.args[0]))
        elif function == "job.metrics":
            self.paths.add("metrics")


def _walk_calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _called_name(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _imported_name(tree: ast.AST, cls: ast.expr) -> str:
    """MODULE:CLASS of a class that is imported by name; "" for a type such as dict[str, Run]."""
    if not isinstance(cls, ast.Name):
        return ""
    module = _module_of(tree, cls.id)
    return f"{module}:{cls.id}" if module else ""


def _module_of(tree: ast.AST, name: str) -> str:
    """The module from which a name is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return node.module or ""
    return ""


def _find_function(
    root: Path, tree: ast.AST, name: str, script: str
) -> tuple[ast.Module, ast.FunctionDef]:
    """The function of the package that a script imports by this name, and its module."""
    module = _module_of(tree, name)
    if module:
        parsed = _parse_file(root, module.replace(".", "/") + ".py")
        for node in parsed.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return parsed, node
    raise MontessoriError(
        f"{name} is given the job, but is no function that is imported by name from the package",
        where=script,
        next=f"from montessori.MODULE import {name}",
    )


def _parse_file(root: Path, path: str) -> ast.Module:
    try:
        return ast.parse((root / path).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise MontessoriError(
            f"not readable as Python ({error})", where=path, next=f"fix {path}, or git checkout it"
        ) from error
