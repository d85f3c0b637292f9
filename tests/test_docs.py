"""What tutorials and the troubleshooting page tell people to type and expect is true.

What would break: a message is reworded and nobody finds it any more; a tutorial's params are
refused by `montessori check`; an old link of the docs site leads nowhere.
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from montessori.commands.add import apply_profile
from montessori.commands.check import find_problems
from montessori.graph.load import read_yaml
from montessori.graph.profiles import merge_mappings
from montessori.graph.stages import read_graph

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GRAPH = read_graph(ROOT)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROWS = ("probes", "warmups", "influences", "rounds", "datasets", "students", "runs")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return [text for kind, text in FENCED.findall((DOCS / page).read_text()) if kind == language]


# ------------------------------------------------------------------------------ troubleshooting
def texts_of(path: Path) -> list[str]:
    """Every string of a module, with "..." for what an f-string fills in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (
                part.value if isinstance(part, ast.Constant) else "..." for part in node.values
            )
            found.append("".join(map(str, parts)))
    return [text for text in found if isinstance(text, str)]


@pytest.fixture(scope="module")
def texts() -> str:
    modules = [*(ROOT / "montessori").rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    return "\n".join(text for path in sorted(modules) for text in texts_of(path))


MESSAGES = [
    line for text in blocks("how-to/troubleshooting.md", "text") for line in text.splitlines()
]


@pytest.mark.parametrize("message", MESSAGES)
def test_the_code_has_every_message_of_the_troubleshooting_page(message: str, texts: str) -> None:
    pieces = [piece.strip(" :,;") for piece in message.split("...")]
    missing = [piece for piece in pieces if piece and piece not in texts]
    assert not missing, f"reworded? fix docs/how-to/troubleshooting.md: {missing}"


# ------------------------------------------------------------------------------------ tutorials
def test_the_params_of_the_own_student_tutorial_pass_the_check(tmp_path: Path) -> None:
    for name in ("dvc.yaml", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("params.yaml", "profiles", "data/micro", "montessori"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    apply_profile(tmp_path / "params.yaml", tmp_path / "profiles", "one-gpu")
    params = read_yaml(tmp_path / "params.yaml")
    del params["models"]
    for section in ROWS:
        del params[section]["montessori-2"]
    yaml = YAML(typ="safe")
    for block in blocks("tutorials/own-student.md", "yaml"):
        params = merge_mappings(params, yaml.load(block))
    (tmp_path / "my" / "evals").mkdir(parents=True)
    for name in ("reference", "seeds", "evals/alpaca_eval"):
        (tmp_path / "my" / f"{name}.jsonl").write_text("")
    models = blocks("tutorials/own-student.md", "json")
    for name, text in zip(("student", "teacher"), models, strict=True):
        # the reader puts the commit there
        described = text.replace("<40 hex digits>", "0" * 40)
        (tmp_path / "my" / f"{name}.json").write_text(described)
    assert find_problems(params, GRAPH, tmp_path) == []


def test_the_params_of_the_first_run_pass_the_check() -> None:
    params = read_yaml(ROOT / "params.yaml")
    for block in blocks("tutorials/first-run.md", "yaml"):
        params = merge_mappings(params, YAML(typ="safe").load(block))
    assert find_problems(params, GRAPH, ROOT) == []


def test_commands_in_tutorials_name_params_that_exist() -> None:
    params = read_yaml(ROOT / "params.yaml")
    for page in DOCS.rglob("*.md"):
        for section, key in re.findall(r" -S (\w+)\.(\w+)=", page.read_text()):
            assert key in params[section], f"{page.name}: {section}.{key}"


# ----------------------------------------------------------------------------------------- site
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir"]
    done = subprocess.run(
        [*command, str(tmp_path / "site")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "index.html").is_file()


def test_every_page_of_the_docs_is_linked_from_their_index() -> None:
    index = (DOCS / "index.md").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"index.md"}
    assert pages - set(re.findall(r"\]\(([^)#]+)", index)) == set()


# ------------------------------------------------------------------------------------- pictures
def test_the_picture_of_the_floors_has_every_room() -> None:
    picture = next(text for text in blocks("explanation/architecture.md", "") if "ground" in text)
    package = ROOT / "montessori"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    rooms |= {path.stem for path in package.glob("[a-z]*.py")}
    assert rooms - set(re.findall(r"\w+", picture)) == set()
