"""The files of the project that a stage may load, listed with their digests.

Every stage depends on the list of its own script instead of on some forty files. That is as exact,
and dvc.lock, which DVC writes anew after each stage, is a third as long.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from montessori.artifacts.files import file_digest, new_folder
from montessori.errors import MontessoriError

#: Files that are in no list, because they cannot change what a stage writes.
PLUMBING: Mapping[str, str] = {
    "montessori/errors.py": "texts of errors",
    "montessori/progress.py": "the progress line on the terminal",
    "montessori/graph/load.py": "the loader; the values are tracked by dvc",
    "montessori/pipeline/machine.py": "machine settings; they move results by rounding only",
    "montessori/pipeline/runtime.py": "time, devices and memory; only reports read them",
    "montessori/pipeline/stage.py": "command line, signals, environment",
    "montessori/pipeline/startup.py": "environment, collector, lighter imports",
}
PACKAGE, SCRIPTS = "montessori", "stages"


def write_lists(package: Path, scripts: Path, out: Path) -> int:
    """Write a list for each stage script into the folder `out`; returns how many there are.

    A list is named like its stage (`student-sft` for stages/student_sft.py) and has a line per
    file, sorted: SHA-256, two spaces, path. Raises MontessoriError as `find_loaded_files` does.
    """
    root = package.resolve().parent
    names = sorted(f"{SCRIPTS}/{path.name}" for path in scripts.glob("*.py"))
    with new_folder(out, inputs={}, facts={"lists": len(names)}, libraries=()) as folder:
        for script, text in list_code(root, names).items():
            (folder / list_name(script)).write_text(text, encoding="utf-8")
    return len(names)


def list_code(root: Path, scripts: Iterable[str]) -> dict[str, str]:
    """The text of each script's list, as `write_lists` writes it."""
    digest = cache(lambda path: file_digest(root / path))
    lists = {}
    for script, files in find_loaded_files(root, scripts).items():
        lists[script] = "".join(f"{digest(path)}  {path}\n" for path in sorted(files))
    return lists


def list_name(script: str) -> str:
    """The name of a script's list: `stages/student_sft.py` -> `student-sft`."""
    return Path(script).stem.replace("_", "-")


def script_of(name: str) -> str:
    """The script that a list is of: `student-sft` -> `stages/student_sft.py`."""
    return f"{SCRIPTS}/{name.replace('-', '_')}.py"


def find_loaded_files(root: Path, scripts: Iterable[str]) -> dict[str, set[str]]:
    """For each script, itself and every file of the project that it may load, also in functions.

    Paths are relative to `root`. Plumbing is dropped and not followed. A module names its data
    files by `resources.files(__package__)` of importlib: followed by `/ "name"` or
    `.joinpath("name")` that file or folder beside the module, otherwise all data files there.

    Raises:
        MontessoriError: a file that is missing or no Python; a module that imports by a computed
            name, uses `__file__`, or names a data file that is not there.
    """
    direct = cache(lambda path: _directly_loaded(root, path))  # most files are in many lists
    return {script: _follow_loads(script, direct) for script in scripts}


def _follow_loads(script: str, direct: Callable[[str], list[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in seen and path not in PLUMBING:
            seen.add(path)
            waiting += direct(path)
    return seen


def _directly_loaded(root: Path, path: str) -> list[str]:
    """The files that one file loads itself."""
    if not path.endswith(".py"):
        return []
    tree = _parse_file(root, path)
    return [*_imported_files(root, path, tree), *_data_files(root, path, tree)]


def _parse_file(root: Path, path: str) -> ast.Module:
    try:
        return ast.parse((root / path).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError) as error:  # ValueError: NUL bytes, not UTF-8
        line = getattr(error, "lineno", None)
        raise MontessoriError(
            f"not readable as Python ({getattr(error, 'msg', error)})",
            where=f"{path}:{line}" if line else path,
            next="fix it, then dvc repro",
        ) from error


# ------------------------------------------------------------------------------------- imports
def _imported_files(root: Path, path: str, tree: ast.Module) -> Iterator[str]:
    for node in _runtime_nodes(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from module_files(root, name.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute_module(path, node)
            yield from module_files(root, base)
            for name in node.names:
                yield from module_files(root, f"{base}.{name.name}")
        elif isinstance(node, ast.Call) and _called_name(node) in ("import_module", "__import__"):
            raise MontessoriError(
                "an import by a computed name cannot be followed",
                where=f"{path}:{node.lineno}",
                expected="import statements, so that a stage knows the code it depends on",
                next="import the module by name, inside the function if need be",
            )


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def _called_name(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _absolute_module(path: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    folders = Path(path).parent.parts
    package = folders[: len(folders) - (node.level - 1)]
    return ".".join([*package, *([node.module] if node.module else [])])


def module_files(root: Path, name: str) -> Iterator[str]:
    """The file of a module of the project, and the __init__ files with code on the way to it."""
    parts = name.split(".")
    if parts[0] not in (PACKAGE, SCRIPTS):
        return
    for depth in range(1, len(parts) + 1):
        package = "/".join([*parts[:depth], "__init__.py"])
        if (root / package).is_file() and _has_code(_parse_file(root, package)):
            yield package
    if root.joinpath(*parts).with_suffix(".py").is_file():
        yield "/".join(parts) + ".py"


def _has_code(module: ast.Module) -> bool:
    """Whether a file does more than hold its docstring and plain constants such as a version."""
    plain = (ast.Expr, ast.Assign)
    return any(
        not (isinstance(node, plain) and isinstance(node.value, ast.Constant))
        for node in module.body
    )


# ---------------------------------------------------------------------------------- data files
def _data_files(root: Path, path: str, tree: ast.Module) -> Iterator[str]:
    folder = (root / path).parent
    joined: set[ast.AST] = set()  # calls of `files` whose file is named
    for node in ast.walk(tree):  # an expression comes before its parts
        base, name = _named_data(node)
        if base is not None:
            joined.add(base)
            yield from _files_below(root, folder / name, f"{path}:{base.lineno}")
        elif _is_own_folder(node) and node not in joined:
            yield from _files_below(root, folder, path)
        elif isinstance(node, ast.Name) and node.id == "__file__":
            raise MontessoriError(
                "data files that are found by `__file__` cannot be followed",
                where=f"{path}:{node.lineno}",
                expected='importlib: `resources.files(__package__) / "name"`',
                next="name the file that way, then dvc repro",
            )


def _named_data(node: ast.AST) -> tuple[ast.expr | None, str]:
    """The call of `files` and the name, in `files(...) / "name"` and `files(...).joinpath("name")`.

    (None, "") for any other node.
    """
    base: ast.expr | None = None
    name: ast.expr | None = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        base, name = node.left, node.right
    elif isinstance(node, ast.Call) and len(node.args) == 1 and _called_name(node) == "joinpath":
        base, name = getattr(node.func, "value", None), node.args[0]
    if base is None or not _is_own_folder(base) or not isinstance(name, ast.Constant):
        return None, ""
    return base, str(name.value)


def _is_own_folder(node: ast.AST) -> bool:
    """Whether an expression is `resources.files(__package__)` or `files(__package__)`."""
    if not isinstance(node, ast.Call) or _called_name(node) != "files" or len(node.args) != 1:
        return False
    package = node.args[0]
    return isinstance(package, ast.Name) and package.id == "__package__"


def _files_below(root: Path, data: Path, where: str) -> Iterator[str]:
    """A data file, or those below a folder; Python files are followed by their imports."""
    if not data.exists():
        raise MontessoriError(
            f"there is no data file {data.name}", where=where, next="add it, or correct the name"
        )
    for file in [data] if data.is_file() else sorted(data.rglob("*")):
        if file.is_file() and file.suffix != ".py" and "__pycache__" not in file.parts:
            yield file.relative_to(root).as_posix()
