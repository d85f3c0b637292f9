"""The floors of the package, as import-linter reads them from pyproject.toml.

What would break: rooms that import rooms above them, until no part can be read, tested or taken
out without the whole.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package and the stage scripts with the contracts."""
    for name in ("montessori", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path) -> tuple[bool, str]:
    """Whether all contracts are kept, and what import-linter says."""
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    return done.returncode == 0, done.stdout + done.stderr


def add(root: Path, module: str, line: str) -> None:
    """Put a line at the end of a module of the copy."""
    with (root / "montessori" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")


def test_the_picture_of_the_architecture_has_the_rooms_in_the_order_of_the_floors() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    picture = page.partition("## The floors")[2].split("```")[1]
    rooms = [name for layer in reversed(layers()) for name in layer.split(" | ")]
    cells = [cell for line in picture.splitlines() for cell in re.split(r" {2,}", line[15:])]
    assert [cell for cell in cells if cell in rooms] == [r for r in rooms if r != "templates"]


def layers() -> list[str]:
    """The floors from the top down, as pyproject.toml has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found: list[str] = contracts["contracts"][0]["layers"]
    return found


def test_every_import_of_the_package_goes_down() -> None:
    kept, text = lint(ROOT)
    assert kept, text


@pytest.mark.parametrize(
    "line",
    [
        "from montessori.commands import check",
        "def later() -> None:\n    from montessori.commands import check",
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from montessori.commands import check",
    ],
    ids=["at the top", "in a function", "for types alone"],
)
def test_an_import_against_the_floors_is_named_with_its_line(checkout: Path, line: str) -> None:
    add(checkout, "models/chat.py", line)
    kept, text = lint(checkout)
    assert not kept
    assert "montessori.models.chat -> montessori.commands" in text
    assert "docs/explanation/architecture.md" in text


def test_a_room_without_a_floor_and_a_direct_import_of_the_lab_are_errors(checkout: Path) -> None:
    (checkout / "montessori/attic").mkdir()
    (checkout / "montessori/attic/__init__.py").write_text("from montessori.lab import grader\n")
    kept, text = lint(checkout)
    assert not kept
    assert "montessori.attic" in text
    assert "montessori.attic -> montessori.lab" in text


def test_a_stage_asks_the_seam_and_not_the_lab(checkout: Path) -> None:
    (checkout / "stages/seed.py").write_text("from montessori.lab import grader\n")
    kept, text = lint(checkout)
    assert not kept
    assert "stages.seed -> montessori.lab" in text
    assert "ask montessori.worlds instead" in text


def test_files_that_import_each_other_are_an_error(checkout: Path) -> None:
    add(checkout, "filters/form.py", "from montessori.filters import keeper")
    add(checkout, "filters/keeper.py", "from montessori.filters import form")
    kept, text = lint(checkout)
    assert not kept
    assert "montessori.filters" in text
