"""Texts of others where they are shown: the terminal, the log, the report.

What would break: a server's error sets the title of the terminal or hides a line, and a text with a
directional override shows another command than the one that is copied.
"""

import logging

import pytest

from montessori.errors import EscapingFormatter, MontessoriError, escape_controls
from montessori.report.page import html_table

EVIL = "a\x1b]0;title\x07b\u202egpj.exe\u2066c\x9b31m\r\u200b\ud83d"
SIGNS = "\x1b\x07\u202e\u2066\x9b\r\u200b\ud83d"


def assert_harmless(shown: str) -> None:
    assert not set(SIGNS) & set(shown)
    assert r"\x1b]0;title\x07b\u202egpj.exe" in shown


def test_errors_show_no_sign_that_steers() -> None:
    assert_harmless(str(MontessoriError(EVIL)))
    assert_harmless(str(MontessoriError("bad", where=EVIL, expected=EVIL, next=EVIL)))


def test_an_error_is_short_whatever_it_quotes() -> None:
    long = "x" * 1_000_000
    shown = str(MontessoriError(f"a is {long!r}", where=long, expected=long, next="fix a"))
    assert len(shown) < 20_000
    assert shown.startswith("a is 'xxx")
    assert shown.endswith("next: fix a")


def test_the_log_shows_none() -> None:
    record = logging.LogRecord("x", 30, "x.py", 1, "%s", (EVIL,), None)
    assert_harmless(EscapingFormatter("%(name)s: %(message)s").format(record))


def test_the_report_shows_none() -> None:
    shown = html_table(["text"], [[EVIL + "\u202d\u2069"]], text=True)
    assert_harmless(shown.replace("\u200b", ""))
    assert not set(shown) & set("\u202d\u2069")


@pytest.mark.parametrize("text", ["שלום\u200f!", "ภาษา\u200bไทย", "a\u2060b\u200e", "ن\u200cها"])
def test_the_report_leaves_signs_of_writing_in_rows(text: str) -> None:
    assert f">{text}</td>" in html_table(["text"], [[text]], text=True)


@pytest.mark.parametrize("text", ["line\nline\tcell", "naïve 文 \u00a0 عربي", "👨\u200d👩\u200d👧"])
def test_other_text_stays(text: str) -> None:
    assert escape_controls(text) == text
