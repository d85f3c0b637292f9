"""Tests as documentation: each module says what it guards, each slow twin is used.

What would break: a test fails and nobody knows what it was for, so it is deleted or made to pass.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MODULES = sorted(TESTS.rglob("test_*.py"))
SUPPORT = sorted(set(TESTS.rglob("*.py")) - set(MODULES))
#: Tables that read better when they are not broken into one value a line.
FORMAT_SKIPS = 10


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_a_module_says_what_would_break(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    subject, mark, consequence = docstring.partition("\n\nWhat would break: ")
    assert mark, f"{path}: add to the docstring an own paragraph `What would break: ...`"
    assert len(subject) > 20
    assert len(consequence) > 30


@pytest.mark.parametrize(
    "path",
    [path for path in SUPPORT if path.stat().st_size],
    ids=lambda path: str(path.relative_to(TESTS)),
)
def test_what_tests_share_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_every_slow_twin_is_compared_with_its_fast_one() -> None:
    twins = {path.stem for path in (TESTS / "slow_twins").glob("*.py")}
    used = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "tests.slow_twins"
            ):
                used |= {alias.name for alias in node.names} | {str(node.module).split(".")[-1]}
    assert twins <= used


def test_code_is_formatted_by_the_formatter_but_for_a_few_tables() -> None:
    mark = "# fmt:" + " skip"
    skips = [path for path in TESTS.rglob("*.py") for _ in range(path.read_text().count(mark))]
    assert len(skips) <= FORMAT_SKIPS, f"break these lines as the formatter does: {skips}"
