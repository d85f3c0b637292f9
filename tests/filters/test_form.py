"""The form of instructions, and that a filter never changes a row's text.

What would break: malformed or foreign-script rows are trained on, or good rows are dropped for
their form.
"""

import pytest

from montessori.filters.form import FormFilter, is_broken, latin_share

FORM = FormFilter(6, 60, ("image", "go to"), first_character=True)
CODE = "Mend this:\n```python\ndef f(x):\n    return  X[x]\n```\n\n- Keep Case\n\t1. and lists"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Add 1.", None),
        ("Add 1", "short"),
        ("a" * 61, "long"),
        ("Show an Image now", "banned word"),
        ("Please go to town", "banned word"),
        ("I imagine images", None),
        ("- Add 1 and 2", "first character"),
        ("Élan is what?", "first character"),
        ("3 plus 4 is?", None),
    ],
)
def test_form(text, problem):
    assert FORM.problem(text) == problem


def test_nothing_is_asked_for_by_default():
    plain = FormFilter(0, 100)
    assert [plain.problem(text) for text in ("", "- image", "Привет", "a\x00b", "```")] == [
        None
    ] * 5


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("Größe und naïve ﬁn", 1.0),
        ("f(x) = 3 + 4?", 1.0),
        ("12 + 30", 1.0),
        ("Say Привет", 3 / 9),
        ("请翻译 this", 4 / 7),
    ],
)
def test_the_share_of_latin_letters(text, share):
    assert latin_share(text) == pytest.approx(share)


def test_a_text_in_another_script_is_dropped_and_one_that_quotes_it_is_not():
    english = FormFilter(0, 100, min_latin=0.6)
    assert english.problem("Напиши стихи о море") == "language"
    assert english.problem("Translate 'море' to English, please") is None


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (CODE, False),
        ("lines\r\nand\ttabs", False),
        ("an undecodable \ufffd", True),
        ("a bell \x07", True),
        ("open:\n```python\nx = 1", True),
        ("inline ``` is no fence", False),
    ],
)
def test_broken_text(text, broken):
    assert is_broken(text) is broken
    assert FormFilter(0, 100, broken_text=True).problem(text) == ("broken text" if broken else None)
