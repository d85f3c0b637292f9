"""Measures the house: rooms, arrows, floors, sizes, names and density of the code.

    python tools/measure_house.py                          # the working tree
    python tools/measure_house.py --ref v0.1 --ref HEAD    # two commits side by side
    python tools/measure_house.py --ref v0.1 --tree        # before, and the working tree after

Prints a Markdown table, or JSON with `--json`. A room is a folder or a loose module at the top of
the package; an arrow says that some file of one room imports some file of another. Imports inside
functions and below `TYPE_CHECKING` count. The floors are the layers of import-linter in the
`pyproject.toml` of this checkout, for every commit: rooms that have no floor are not judged.
"""

import argparse
import ast
import io
import json
import re
import statistics
import subprocess
import tempfile
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "montessori"
#: The page whose steps say which files a new signal touches, one line ``- file: `path` `` each.
SIGNAL_PAGE = Path("docs", "tutorials", "new-signal.md")
SIGNAL_FILE = re.compile(r"^\s*- file: `([^`]+)`", re.MULTILINE)

#: A figure, or nothing where the tree has no such thing.
Figure = int | float | str | None


@dataclass
class Code:
    """What the figures are made of, gathered over several files."""

    lines: int = 0
    comments: int = 0
    comprehensions: int = 0
    skips: int = 0
    functions: list[ast.FunctionDef | ast.AsyncFunctionDef] = field(default_factory=list)


def measure(root: Path, floors: dict[str, int]) -> dict[str, Figure]:
    """Every figure of the tree below a folder, by its name in the table."""
    files = list(python_files(root, PACKAGE, "stages"))
    code = read_code(files)
    tests = read_code(list(python_files(root, "tests")))
    rooms = top_rooms(root)
    drawn = arrows(root, rooms)
    return {
        **_house(root, rooms, drawn, floors),
        **_shape(files, code),
        "`fmt: skip` in package and stages": code.skips,
        "`fmt: skip` in tests": tests.skips,
        "test lines": tests.lines,
        "test lines / source lines": _ratio(tests.lines, code.lines),
        "README lines": _lines_of(root / "README.md"),
        "README bytes": _bytes_of(root / "README.md"),
        "files that a new signal touches": signal_files(root),
    }


def _house(
    root: Path, rooms: set[str], drawn: set[tuple[str, str]], floors: dict[str, int]
) -> dict[str, Figure]:
    loose = [room for room in rooms if (root / PACKAGE / f"{room}.py").exists()]
    return {
        "rooms at the top of the package": len(rooms),
        "of them loose modules": len(loose),
        "of them with a floor": len(rooms & floors.keys()),
        "arrows among rooms": len(drawn),
        "arrows against the floors": len(upward(drawn, floors)) if floors else None,
        "pairs of rooms that import each other": len(
            [arrow for arrow in drawn if arrow[0] < arrow[1] and arrow[::-1] in drawn]
        ),
    }


def _shape(files: list[Path], code: Code) -> dict[str, Figure]:
    lengths = sorted(length(function) for function in code.functions)
    counts = [arguments(function) for function in code.functions]
    words = [is_one_word(function.name) for function in code.functions]
    return {
        "files of package and stages": len(files),
        "package lines (with stages)": code.lines,
        "function lines, median": statistics.median(lengths) if lengths else None,
        "function lines, p90": percentile_90(lengths),
        "function lines, max": lengths[-1] if lengths else None,
        "one-word function names, %": _ratio(100 * sum(words), len(words), digits=1),
        "comprehensions per 100 lines": _ratio(100 * code.comprehensions, code.lines),
        "comment lines per 100 lines": _ratio(100 * code.comments, code.lines),
        "functions over 7 arguments": sum(count > 7 for count in counts),
        "functions over 10 arguments": sum(count > 10 for count in counts),
        "most arguments of a function": max(counts, default=None),
    }


def python_files(root: Path, *folders: str) -> Iterator[Path]:
    """Python files below some folders, except `__init__.py` files that only hold a docstring."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            if path.name != "__init__.py" or not _is_trivial(path):
                yield path


def _is_trivial(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def read_code(files: list[Path]) -> Code:
    """Lines, comments and functions of some files.

    A comment line holds nothing but a comment. Each `for` of a comprehension counts, so that a
    nested one is two.
    """
    code = Code()
    for path in files:
        text = path.read_text(encoding="utf-8")
        code.lines += len(text.splitlines())
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                code.comments += token.line.lstrip().startswith("#")
                code.skips += bool(re.search(r"fmt: *(skip|off)", token.string))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                code.functions.append(node)
            code.comprehensions += isinstance(node, ast.comprehension)
    return code


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its `def`, docstring included, decorators excluded."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of named arguments; `self` and `cls`, `*args` and `**kwargs` don't count."""
    spec = function.args
    named = spec.posonlyargs + spec.args + spec.kwonlyargs
    return sum(argument.arg not in ("self", "cls") for argument in named)


def is_one_word(name: str) -> bool:
    """Whether a name has no underscore inside (`_read` and `__init__` are one word)."""
    return "_" not in name.strip("_")


def percentile_90(lengths: list[int]) -> int | None:
    """The smallest of the sorted lengths that at least 90 % do not exceed."""
    return lengths[int(0.9 * len(lengths))] if lengths else None


def top_rooms(root: Path) -> set[str]:
    """Folders with Python files and loose modules at the top of the package."""
    top = root / PACKAGE
    loose = {path.stem for path in top.glob("*.py")} - {"__init__"}
    return loose | {path.name for path in top.iterdir() if any(path.rglob("*.py"))}


def arrows(root: Path, rooms: set[str]) -> set[tuple[str, str]]:
    """Pairs (importing room, imported room) of different rooms."""
    drawn: set[tuple[str, str]] = set()
    for path in (root / PACKAGE).rglob("*.py"):
        inside = path.relative_to(root / PACKAGE)
        room = inside.parts[0].removesuffix(".py")
        module = (PACKAGE, *inside.with_suffix("").parts)
        drawn |= {(room, other) for other in _imported(path, module) & rooms if room != other}
    return {arrow for arrow in drawn if arrow[0] in rooms}


def _imported(path: Path, module: tuple[str, ...]) -> set[str]:
    """Names right below the package that a file imports, wherever the import stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module[: -node.level], *filter(None, [node.module])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == PACKAGE and len(part) > 1}


def read_floors(pyproject: str) -> dict[str, int]:
    """The floor of each room in import-linter's layers below the package; the lowest is 0.

    Rooms that share a floor (`a | b`) have the same number. Without such a contract there are no
    floors.
    """
    contracts = (
        tomllib.loads(pyproject).get("tool", {}).get("importlinter", {}).get("contracts", [])
    )
    for contract in contracts:
        if contract["type"] == "layers" and PACKAGE in contract.get("containers", []):
            layers = [layer.split("|") for layer in reversed(contract["layers"])]
            return {name.strip(): n for n, layer in enumerate(layers) for name in layer}
    return {}


def upward(drawn: set[tuple[str, str]], floors: dict[str, int]) -> list[tuple[str, str]]:
    """Arrows from a floor to the same or a higher one."""
    return sorted(
        (room, other)
        for room, other in drawn
        if room in floors and other in floors and floors[room] <= floors[other]
    )


def signal_files(root: Path) -> int | None:
    """How many files the tutorial of a new signal touches, or nothing without that page."""
    page = root / SIGNAL_PAGE
    if not page.exists():
        return None
    return len(set(SIGNAL_FILE.findall(page.read_text(encoding="utf-8"))))


def _ratio(part: float, whole: float, digits: int = 2) -> float | None:
    return round(part / whole, digits) if whole else None


def _lines_of(path: Path) -> int | None:
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else None


def _bytes_of(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def measure_commit(ref: str, floors: dict[str, int]) -> dict[str, Figure]:
    """Every figure of a commit of this repository, taken from a copy in a temporary folder."""
    command = ["git", "archive", "--format=tar", ref]
    archive = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        return measure(Path(folder), floors)


def table(columns: dict[str, dict[str, Figure]]) -> str:
    """A Markdown table with one column per tree."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in next(iter(columns.values())):
        cells = [
            "n/a" if figures[name] is None else f"{figures[name]:,}" for figures in columns.values()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure the commits asked for, or the working tree, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ref", action="append", default=[], help="a commit (repeatable)")
    parser.add_argument("--tree", action="store_true", help="the working tree beside the commits")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    options = parser.parse_args()
    floors = read_floors((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    columns = {ref: measure_commit(ref, floors) for ref in options.ref}
    if options.tree or not columns:
        columns["working tree"] = measure(ROOT, floors)
    print(json.dumps(columns, indent=2) if options.json else table(columns))


if __name__ == "__main__":
    main()
