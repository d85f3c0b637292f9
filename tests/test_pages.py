"""README and docs say what is there: generated parts, the tree, links, commands."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
]


def load_pages():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "tools" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pages = load_pages()


@pytest.mark.parametrize("name", pages.PAGES)
def test_generated_parts_are_current(name: str) -> None:
    text = (ROOT / name).read_text()
    assert pages.render(text) == text, "next: python tools/pages.py"


def test_every_top_level_entry_has_its_clause() -> None:
    made = {"dvc.lock", "metrics/"}  # there once the pipeline has run
    assert set(pages.top_level()) - set(pages.TOP) == set()
    assert set(pages.TOP) - set(pages.top_level()) <= made


def test_every_module_of_the_package_is_in_the_tree() -> None:
    text = (ROOT / "README.md").read_text()
    for path in (ROOT / "montessori").rglob("*.py"):
        name = path.parent.name + "/" if path.name == "__init__.py" else path.name
        assert re.search(rf"^ *{re.escape(name)} +\S", text, re.MULTILINE), path


def test_render_writes_only_between_the_markers() -> None:
    page = "a\n<!-- tree:begin -->\nold\n<!-- tree:end -->\nb\n"
    assert pages.render(page).startswith("a\n<!-- tree:begin -->\n```\ndvc.yaml ")
    assert pages.render(page).endswith("```\n<!-- tree:end -->\nb\n")
    assert pages.render("no markers") == "no markers"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text()):
        if "://" not in target:
            assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_exist(name: str) -> None:
    from typer.main import get_command

    from montessori.cli import app

    text = (ROOT / name).read_text()
    known = set(get_command(app).commands)
    assert set(re.findall(r"(?:^|`)montessori ([a-z]+)", text, re.MULTILINE)) <= known
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE)) <= targets
