"""The contract between dvc.yaml and the stage scripts, as a checker.

A stage's deps must be exactly its inputs and the files of its import closure (a folder that is in
it whole by its name alone); its params exactly the sections it reads; its command line exactly the
paths it takes.
"""

import ast
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Files that no stage names, because they cannot change what a stage writes.
PLUMBING: Mapping[str, str] = {
    "montessori/errors.py": "texts of errors",
    "montessori/progress.py": "the progress line on the terminal",
    "montessori/params.py": "the loader; the values are tracked by dvc",
    "montessori/stage.py": "command line, signals, runtime record; machine settings",
}
CODE = ("montessori/", "stages/")


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
    def code(self) -> set[str]:
        """The deps that are files or folders of the package, or scripts."""
        return {dep for dep in self.deps if dep.startswith(CODE)}


def read_graph(root: Path) -> list[Stage]:
    """The stages of dvc.yaml."""
    from montessori.params import load

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


# ------------------------------------------------------------------------------ import closure
def closure(root: Path, script: str) -> set[str]:
    """The script and every file of the project that it may load, inside functions too.

    Plumbing is left out and not followed. Data files that a module names are in: a text constant
    equal to the name of a file or folder beside the module.
    """
    seen: set[str] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in seen or path in PLUMBING:
            continue
        seen.add(path)
        if path.endswith(".py"):
            tree = ast.parse((root / path).read_text(encoding="utf-8"))
            waiting += [*_imports(root, path, tree), *_data(root, path, tree)]
    return seen


def folded(root: Path, files: set[str]) -> set[str]:
    """The same files, each folder of the package that is in with all its files by its name alone.

    dvc.lock is written anew after every stage, so its length is time; a folder is four lines
    there. An __init__ without code counts as in.
    """
    kept = set(files)
    parents = {parent for path in files for parent in Path(path).parents}
    for folder in sorted(parents, key=lambda folder: -len(folder.parts)):
        if len(folder.parts) < 2 or folder.parts[0] != "montessori":
            continue
        there = {path for path in _files(root, folder) if path in files or _counts(root, path)}
        if there <= files and len(there) > 1:
            kept = {path for path in kept if folder not in Path(path).parents}
            kept.add(folder.as_posix())
    return kept


def _files(root: Path, folder: Path) -> Iterator[str]:
    for path in (root / folder).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(root).as_posix()


def _counts(root: Path, path: str) -> bool:
    return Path(path).name != "__init__.py" or _has_code(root / path)


def _imports(root: Path, path: str, tree: ast.Module) -> Iterator[str]:
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from _module(root, name.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            yield from _module(root, base)
            for name in node.names:
                yield from _module(root, f"{base}.{name.name}")
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            raise AssertionError(f"{path}:{node.lineno}: an import by name cannot be followed")


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = Path(path).parent.parts[: len(Path(path).parent.parts) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def _module(root: Path, name: str) -> Iterator[str]:
    """The file of a module and the __init__ files with code on the way to it."""
    parts = name.split(".")
    if parts[0] not in ("montessori", "stages"):
        return
    for depth in range(1, len(parts) + 1):
        package = root.joinpath(*parts[:depth], "__init__.py")
        if package.is_file() and _has_code(package):
            yield package.relative_to(root).as_posix()
    if root.joinpath(*parts).with_suffix(".py").is_file():
        yield "/".join(parts) + ".py"


def _has_code(path: Path) -> bool:
    """Whether a file does more than hold its docstring and plain constants such as a version."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    plain = (ast.Expr, ast.Assign)
    return any(
        not (isinstance(node, plain) and isinstance(node.value, ast.Constant)) for node in body
    )


def _data(root: Path, path: str, tree: ast.Module) -> Iterator[str]:
    folder = (root / path).parent
    if not path.startswith("montessori/"):
        return
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for beside in folder.iterdir():
        if beside.name not in texts or beside.name == "__pycache__":
            continue
        below = [beside] if beside.is_file() else list(beside.rglob("*"))
        inside = [file for file in below if file.is_file() and "__pycache__" not in file.parts]
        if beside.is_dir() and all(file.suffix == ".py" for file in inside):
            continue  # a package, not data
        for file in inside:
            yield file.relative_to(root).as_posix()


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


# ------------------------------------------------------------------------------------- scripts
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
    options = [ast.literal_eval(text) for call in calls if _called(call) == "run"
               for text in call.args[1:]]  # fmt: skip
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
            path = next(_module(root, node.module or ""), "")
            module = ast.parse((root / path).read_text(encoding="utf-8"))
            return next(n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == name)
    raise AssertionError(f"{name} is given the job, but not imported by name from the package")


# ------------------------------------------------------------------------------------ problems
def code_difference(root: Path, stage: Stage) -> tuple[list[str], list[str]]:
    """Files and folders that the stage's deps lack, and code that they need not have."""
    needed = folded(root, closure(root, stage.script))
    wanted = {path for path in stage.deps if not path.startswith("stages/")}
    inputs = wanted & set(stage.options.values())
    return sorted(needed - stage.deps), sorted(stage.code - needed - inputs)


def problems(root: Path, stage: Stage) -> list[str]:
    """Everything in which a stage's entry and its script disagree."""
    if not (root / stage.script).is_file():
        return [f"{stage.name}: {stage.script} does not exist"]
    script = read_script(root, stage.script)
    missing, superfluous = code_difference(root, stage)
    found = [f"dep {path} is missing" for path in missing]
    found += [f"dep {path} is superfluous" for path in superfluous]
    found += _unequal("params", stage.params, "read", script.params)
    options = set(stage.options) - {"name"}
    found += _unequal("options in cmd", options, "options of run(main, ...)", set(script.options))
    found += _unequal("options of run(main, ...)", set(script.options), "used", script.paths)
    values = {value for option, value in stage.options.items() if option != "name"}
    inputs = set(stage.deps - folded(root, closure(root, stage.script)))
    found += _unequal(
        "inputs and outputs declared", inputs | stage.outs, "passed in cmd", values, keep=stage.code
    )
    found += [f"{path} is both input and output" for path in sorted(inputs & stage.outs)]
    if "name" not in stage.options:
        found.append("cmd has no --name")
    return [f"{stage.name}: {problem}" for problem in found]


def _unequal(
    left: str,
    here: set[str] | frozenset[str],
    right: str,
    there: set[str] | frozenset[str],
    keep: set[str] | frozenset[str] = frozenset(),
) -> list[str]:
    """Where two sets differ, but for what `keep` has (reported elsewhere)."""
    found = [f"{left}: {name} is not {right}" for name in sorted(here - there - keep)]
    return found + [f"{right}: {name} is not in {left}" for name in sorted(there - here)]
