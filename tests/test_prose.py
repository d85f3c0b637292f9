"""Words that make people read a sentence twice are listed in CONTRIBUTING.md and found here.

What would break: text that a reader must puzzle over comes back, one docstring at a time.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
IMPORT = re.compile(r"^(from|import) .*$", re.MULTILINE)
TABLE = re.compile(r"<!-- words:begin -->\n(.*?)<!-- words:end -->", re.DOTALL)
PROSE = (
    "*.md",
    "docs/**/*.md",
    "montessori/**/*.py",
    "stages/*.py",
    "tools/*.py",
    "params.yaml",
    "profiles/*.yaml",
    "dvc.yaml",
    "Makefile",
)


def listed_phrases() -> dict[str, str]:
    """The phrases of the table in CONTRIBUTING.md with what to write instead."""
    table = TABLE.search((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert table, "CONTRIBUTING.md has lost its table between words:begin and words:end"
    rows = [line.strip("| ").split(" | ") for line in table[1].splitlines()[2:]]
    return {phrase: instead for phrases, instead in rows for phrase in phrases.split(", ")}


def matches(phrase: str, text: str) -> list[int]:
    """Lines where a phrase begins, however its words are wrapped in a comment or a string."""
    gap = r"(?:\s|#:?|\"|>)+"
    pattern = rf"\b{gap.join(map(re.escape, phrase.split()))}\b"
    found = re.finditer(pattern, IMPORT.sub(".", text), re.IGNORECASE)
    return [text.count("\n", 0, match.start()) + 1 for match in found]


@pytest.mark.parametrize(
    "text",
    [
        "It was told apart.",
        "# what it was\n    # Told  # apart",
        '"cannot be told "\n        "apart"',
        "#: told\n#: apart",
    ],
)
def test_a_phrase_is_found_across_lines(text: str) -> None:
    assert matches("told apart", text)


def test_parts_of_words_and_names_in_code_are_not_phrases() -> None:
    assert not matches("mend", "a recommendation, mend_rows, amend")
    assert not matches("told from", "from records import told\nfrom pathlib import Path")


def test_no_text_uses_a_phrase_of_the_list() -> None:
    problems = []
    for path in sorted({path for pattern in PROSE for path in ROOT.glob(pattern)}):
        text = TABLE.sub("", path.read_text(encoding="utf-8"))
        for phrase, instead in listed_phrases().items():
            name = path.relative_to(ROOT)
            problems += [f"{name}:{n}: {phrase}: {instead}" for n in matches(phrase, text)]
    assert not problems, "\n".join(problems)


def test_the_spelling_checker_knows_the_single_words_of_the_list() -> None:
    lines = (ROOT / "tools/words.txt").read_text(encoding="utf-8").splitlines()
    single = {phrase for phrase in listed_phrases() if " " not in phrase}
    assert {line.partition("->")[0] for line in lines} == single
