"""README and docs say what exists: generated parts, the tree, links, commands.

What would break: a page names a file, an anchor or a command that does not exist, or shows figures
of an earlier record.
"""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
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


def test_every_module_of_the_package_has_its_clause() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (.*?) \|$", pages.modules(), re.MULTILINE)
    assert all(clause for _, clause in rows)
    package = ROOT / "montessori"
    files = [path for path in package.rglob("*.py") if path != package / "__init__.py"]
    rooms = list(package.glob("*/__init__.py"))
    assert len(rows) == len(files) - len(rooms)


def test_a_clause_is_the_whole_first_sentence(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""A sentence of 1.5 lines\nthat wraps. Another.\n\nMore."""\n')
    assert pages.clause(module) == "A sentence of 1.5 lines that wraps"


def test_render_writes_only_between_the_markers() -> None:
    page = "a\n<!-- root:begin -->\nold\n<!-- root:end -->\nb\n"
    assert pages.render(page).startswith("a\n<!-- root:begin -->\n| file |")
    assert pages.render(page).endswith("|\n<!-- root:end -->\nb\n")
    assert pages.render("no markers") == "no markers"


def test_the_front_page_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 12 * 1024


def without_code(text: str) -> str:
    """A page without its fenced blocks and code spans, in which nothing is a link or a heading."""
    return re.sub(
        r"`[^`\n]*`", "``", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    )


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as a forge and the docs site both make them."""
    fenced = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+?) *$", fenced, re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if "://" in target:
            continue
        address, _, anchor = target.partition("#")
        linked = (page.parent / address).resolve() if address else page
        assert linked.exists(), f"{name}: nothing at {target}"
        if anchor:
            assert anchor in anchors(linked), f"{name}: no such heading: {target}"


def test_docs_link_to_nothing_outside_docs() -> None:
    """The docs site has the pages of docs/ alone, so a link out of it leads nowhere there."""
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", without_code(page.read_text())):
            if "://" not in target:
                inside = (page.parent / target).resolve().is_relative_to(ROOT / "docs")
                assert inside, f"{page.relative_to(ROOT)}: {target} is not in docs/"


def test_the_command_reference_has_every_command_with_its_options() -> None:
    text = pages.command_reference()
    sections = text.split("## ")
    round_section = next(part for part in sections if part.startswith("montessori add round\n"))
    assert "montessori add round NAME --from FROM" in round_section
    assert "| `--from` | required |" in round_section
    assert "| `--dry-run` | off |" in round_section
    harness = next(part for part in sections if part.startswith("montessori bench harness\n"))
    assert "| `--rounds` | `3` |" in harness
    assert {"montessori check", "montessori score mt-bench"} <= {
        part.partition("\n")[0] for part in sections
    }


PATH = re.compile(r"docs/[\w./-]+\.(?:md|svg)")


def test_code_names_pages_that_exist() -> None:
    """Errors, comments of params.yaml and profiles send a person to pages: each must be there."""
    sources = [*(ROOT / "montessori").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
    sources += [*(ROOT / "tools").glob("*.py"), *(ROOT / "profiles").glob("*.yaml")]
    for source in [*sources, ROOT / "params.yaml", ROOT / "dvc.yaml", ROOT / "Makefile"]:
        for name in PATH.findall(source.read_text()):
            assert (ROOT / name).is_file(), f"{source.relative_to(ROOT)}: no page {name}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_exist(name: str) -> None:
    from typer.main import get_command

    from montessori.cli import app

    text = (ROOT / name).read_text()
    known = set(get_command(app).commands)
    assert set(re.findall(r"(?:^|`)montessori ([a-z]+)", text, re.MULTILINE)) <= known
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE)) <= targets
