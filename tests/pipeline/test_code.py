"""Which files a stage may load, and the lists that the other stages depend on.

What would break: a change of code reruns too little and old results stay, or reruns everything for
a comment.
"""

import hashlib
import json
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.pipeline.code import find_loaded_files, list_name, script_of, write_lists

FILES = {
    "stages/toy_shop.py": "from montessori.pipeline.stage import run\n\n\ndef main(job):\n"
    "    from montessori.core import work\n",
    "stages/other.py": "import montessori.other\n",
    "montessori/__init__.py": '__version__ = "1"\n',
    "montessori/pipeline/stage.py": "import montessori.unused\n",
    "montessori/core.py": "def work():\n    from .deep import inner\n",
    "montessori/deep/__init__.py": '"""Deep."""\n',
    "montessori/deep/inner.py": 'TABLE = resources.files(__package__) / "table.json"\n',
    "montessori/deep/table.json": "{}",
    "montessori/deep/page/page.css": "",
    "montessori/deep/page/page.js": "",
    "montessori/deep/unused.py": "",
    "montessori/other.py": "",
    "montessori/unused.py": "",
}
TOY = {
    "stages/toy_shop.py",
    "montessori/core.py",
    "montessori/deep/inner.py",
    "montessori/deep/table.json",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def toy(root: Path) -> set[str]:
    return find_loaded_files(root, ["stages/toy_shop.py"])["stages/toy_shop.py"]


def lists(root: Path) -> dict[str, str]:
    write_lists(root / "montessori", root / "stages", root / "out")
    return {path.name: path.read_text() for path in (root / "out").iterdir()}


def edit(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text + FILES.get(name, ""))


def test_imports_inside_functions_and_data_beside_a_module_are_in(root: Path) -> None:
    assert toy(root) == TOY


EVERY = {"table.json", "page/page.css", "page/page.js"}


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ('resources.files(__package__).joinpath("table.json")', {"table.json"}),
        ('files(__package__) / "page"', {"page/page.css", "page/page.js"}),
        (
            "Path(str(resources.files(__package__)))",
            EVERY,
        ),
        ("files(__package__) / name", EVERY),
        ('NAME = "table.json"', set()),
    ],
)
def test_a_module_names_one_data_file_or_a_folder_of_them(
    root: Path, expression: str, named: set[str]
) -> None:
    (root / "montessori/deep/inner.py").write_text(expression + "\n")
    data = {path for path in toy(root) if not path.endswith(".py")}
    assert data == {f"montessori/deep/{name}" for name in named}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('files(__package__) / "gone.json"', "no data file gone.json"),
        ('Path(__file__).parent / "table.json"', "`__file__` cannot be followed"),
    ],
)
def test_a_data_file_that_cannot_be_followed_is_refused(
    root: Path, line: str, problem: str
) -> None:
    (root / "montessori/deep/inner.py").write_text(line + "\n")
    with pytest.raises(MontessoriError, match=rf"{problem}.*\n.*deep/inner.py:1"):
        toy(root)


def test_an_import_counts_at_once(root: Path) -> None:
    edit(root, "montessori/deep/inner.py", "import montessori.other\n")
    assert toy(root) == TOY | {"montessori/other.py"}


def test_type_checking_imports_do_not_count(root: Path) -> None:
    edit(root, "montessori/core.py", "if TYPE_CHECKING:\n    import montessori.other\n")
    assert toy(root) == TOY


def test_an_init_with_code_is_in_and_followed(root: Path) -> None:
    edit(root, "montessori/deep/__init__.py", "from montessori import other\n")
    assert toy(root) == TOY | {"montessori/deep/__init__.py", "montessori/other.py"}


@pytest.mark.parametrize("call", ["importlib.import_module(name)", "__import__(name)"])
def test_an_import_by_a_computed_name_is_refused(root: Path, call: str) -> None:
    edit(root, "montessori/deep/inner.py", f"import importlib\n{call}\n")
    with pytest.raises(MontessoriError, match=r"computed name.*\n.*deep/inner.py:2"):
        toy(root)


def test_a_file_that_is_no_python_is_refused_and_nothing_written(root: Path) -> None:
    edit(root, "montessori/core.py", "\ndef :\n")
    with pytest.raises(MontessoriError, match=r"not readable as Python.*\n.*core.py:2"):
        lists(root)
    assert not (root / "out").exists()


def test_bytes_that_are_no_text_and_a_script_that_is_not_there_have_an_error(root: Path) -> None:
    (root / "montessori/core.py").write_bytes(b"\xff\xfe")
    with pytest.raises(MontessoriError, match=r"not readable as Python.*\n.*core.py"):
        toy(root)
    with pytest.raises(MontessoriError, match=r"not readable as Python.*\n.*gone.py"):
        find_loaded_files(root, ["stages/gone.py"])


def test_there_is_a_list_for_each_script_with_the_digest_of_each_file(root: Path) -> None:
    written = lists(root)
    facts = json.loads(written.pop("manifest.json"))["facts"]
    assert facts == {"lists": 2}
    assert set(written) == {"toy-shop", "other"}
    lines = [line.split("  ") for line in written["toy-shop"].splitlines()]
    assert [path for _, path in lines] == sorted(TOY)
    for digest, path in lines:
        assert digest == hashlib.sha256((root / path).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("montessori/core.py", {"toy-shop"}),
        ("montessori/deep/table.json", {"toy-shop"}),
        ("montessori/other.py", {"other"}),
        ("stages/other.py", {"other"}),
        ("montessori/deep/unused.py", set()),
        ("montessori/pipeline/stage.py", set()),  # plumbing
    ],
)
def test_a_change_touches_the_lists_of_those_that_load_it(
    root: Path, name: str, changed: set[str]
) -> None:
    before = lists(root)
    edit(root, name, "\n\n")
    after = lists(root)
    assert {name for name in after if after[name] != before[name]} - {"manifest.json"} == changed


def test_a_list_and_its_script_are_named_alike() -> None:
    assert list_name("stages/student_sft.py") == "student-sft"
    assert script_of("student-sft") == "stages/student_sft.py"
