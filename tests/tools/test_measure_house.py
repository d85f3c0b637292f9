"""The table of the code's sizes before and after a change: each figure counts what it says.

What would break: a change is judged by figures of something else.
"""

import json
import subprocess
import sys
from pathlib import Path

import measure_house
import pytest
from measure_house import Figure, arguments, arrows, is_one_word, measure, read_code, read_floors

FLOORS = """
[[tool.importlinter.contracts]]
name = "other"
type = "forbidden"
[[tool.importlinter.contracts]]
name = "floors"
type = "layers"
containers = ["montessori"]
layers = ["cli", "train | evals", "errors"]
"""

FILES = {
    "montessori/__init__.py": '"""The package."""\n',
    "montessori/errors.py": "class MontessoriError(Exception):\n    pass\n",
    "montessori/cli.py": "from montessori import train\nfrom .evals import mark\n",
    "montessori/train/__init__.py": "",
    "montessori/train/loss.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from montessori.evals.mark import Mark\n"
        "def _pad(self, a, b, *rest):\n"
        "    # A comment line.\n"
        "    return [x for row in a for x in row]  # not a comment line\n"
        "def mean_loss(a, b, c, d, e, f, g, *, h):\n"
        "    import montessori.errors\n"
        "    return 0  # fmt: skip\n"
    ),
    "montessori/evals/mark.py": "from ..errors import MontessoriError\n",
    "montessori/evals/prompts/x.txt": "no Python\n",
    "montessori/words/list.txt": "a folder without Python is no room\n",
    "stages/train.py": "def main():\n    return 1\n",
    "tests/test_loss.py": "def test_loss():\n    assert True\n",
    "README.md": "one\ntwo\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package of four rooms in which `train` imports `evals` on the same floor."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_imports_in_functions_and_for_types_are_arrows(tree: Path) -> None:
    assert arrows(tree, measure_house.top_rooms(tree)) == {
        ("cli", "train"),
        ("cli", "evals"),
        ("train", "evals"),
        ("train", "errors"),
        ("evals", "errors"),
    }


def test_figures_of_a_small_package(tree: Path) -> None:
    figures = measure(tree, read_floors(FLOORS))
    expected: dict[str, Figure] = {
        "rooms at the top of the package": 4,
        "of them loose modules": 2,
        "of them with a floor": 4,
        "arrows among rooms": 5,
        "arrows against the floors": 1,
        "pairs of rooms that import each other": 0,
        "files of package and stages": 5,
        "package lines (with stages)": 16,
        "function lines, median": 3,
        "function lines, max": 3,
        "one-word function names, %": 66.7,
        "comprehensions per 100 lines": 12.5,
        "comment lines per 100 lines": 6.25,
        "functions over 7 arguments": 1,
        "most arguments of a function": 8,
        "`fmt: skip` in package and stages": 1,
        "`fmt: skip` in tests": 0,
        "test lines / source lines": 0.12,
        "README lines": 2,
        "README bytes": 8,
        "files that a new signal touches": None,
    }
    assert {name: figures[name] for name in expected} == expected


def test_floors_count_from_the_ground_and_only_in_the_layers_contract() -> None:
    assert read_floors(FLOORS) == {"errors": 0, "train": 1, "evals": 1, "cli": 2}
    assert read_floors("[tool.ruff]\n") == {}


def test_without_floors_no_arrow_is_judged(tree: Path) -> None:
    assert measure(tree, {})["arrows against the floors"] is None


def test_self_and_collected_arguments_do_not_count(tree: Path) -> None:
    code = read_code([tree / "montessori/train/loss.py"])
    assert [arguments(function) for function in code.functions] == [2, 8]


@pytest.mark.parametrize(
    ("name", "one"),
    [("read", True), ("_read", True), ("__init__", True), ("read_rows", False), ("_a_b", False)],
)
def test_underscores_at_the_ends_of_a_name_do_not_make_words(name: str, one: bool) -> None:
    assert is_one_word(name) == one


def test_files_of_a_new_signal_are_those_its_page_names_once_each(tree: Path) -> None:
    page = tree / measure_house.SIGNAL_PAGE
    page.parent.mkdir(parents=True)
    page.write_text("- file: `dvc.yaml`\n\n- file: `stages/x.py`\n- file: `dvc.yaml`\n")
    assert measure_house.signal_files(tree) == 2


def test_a_commit_is_measured_beside_the_working_tree(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "pyproject.toml").write_text(FLOORS)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "before"]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    (tree / "montessori/sft.py").write_text("def run():\n    return 1\n")
    monkeypatch.setattr(measure_house, "ROOT", tree)
    monkeypatch.setattr(sys, "argv", ["measure_house.py", "--ref", "HEAD", "--tree"])
    measure_house.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| | HEAD | working tree |"
    assert "| rooms at the top of the package | 4 | 5 |" in lines
    assert "| files that a new signal touches | n/a | n/a |" in lines

    monkeypatch.setattr(sys, "argv", ["measure_house.py", "--json"])
    measure_house.main()
    figures = json.loads(capsys.readouterr().out)["working tree"]
    assert figures["of them loose modules"] == 3
