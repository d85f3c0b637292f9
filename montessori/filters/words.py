"""Words and characters of texts in any script, by which texts are compared; texts stay as written.

A word is a run of letters, the marks on them, digits and `_`. Scripts that write no blanks between
words (Chinese, Japanese, Thai, Lao, Khmer, Burmese and others) have no such runs: there each
character, with the marks on it, is a unit by itself, also within a text of several scripts.

The scripts are those whose lines break between any two characters, or only where a dictionary says
so, by Unicode's classes of line breaking (UAX #14: ID, CJ, SA, AK, AP, AS).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

#: A set of letters and digits, in the syntax of the package regex: scripts without blanks. Hangul
#: has the same class, but Korean has blanks.
CHARACTER = (
    r"[[[\p{L}\p{N}]&&[\p{Han}\p{Hiragana}\p{Katakana}\u30fc"
    r"\p{lb=ID}\p{lb=CJ}\p{lb=SA}\p{lb=AK}\p{lb=AP}\p{lb=AS}]]--\p{Hangul}]"
)
#: What a word may begin with, in scripts with blanks.
LETTER = rf"[[\p{{L}}\p{{N}}]--{CHARACTER}]"

#: How many characters of a script without blanks count as much as a word: Chinese words have 1.54
#: to 1.71 characters (the four corpora of Emerson 2005, table 2).
PER_WORD = 2

_UNIT = rf"{CHARACTER}\p{{M}}*|[{LETTER}_][{LETTER}\p{{M}}_]*"
#: A blank that parts no words, since a script without blanks stands beside it.
LOOSE_BLANK = rf"(?<={CHARACTER}\p{{M}}*)\s+|\s+(?={CHARACTER})"
#: What ends a phrase: a sentence, a line, a quotation, what stands before a colon or a comma. In
#: scripts without blanks between words a blank does too.
_BREAK = rf"[^\p{{L}}\p{{M}}\p{{N}}_\s'\u2019-]|[\n\u0085\u2028\u2029]|{LOOSE_BLANK}"
_ASCII_UNIT: re.Pattern[str] = re.compile(r"\w+")
_ASCII_BREAK = re.compile(r"[^\w\s'-]|\n")


def fold_text(text: str) -> str:
    """A text without the differences that are none to a reader: case, composition, width.

    NFC and case folding; without characters that Unicode calls ignorable (joiners, soft hyphens,
    marks of direction); full and half widths, forms of Arabic letters by their place, ligatures and
    letters of mathematical fonts as plain ones. Not NFKC, which makes 25 of a two with a raised
    five.
    """
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFC", text)
    text = compile_pattern(r"\p{Default_Ignorable_Code_Point}+").sub("", text)
    text = compile_pattern(r"[\ufb00-\uffef\U0001d400-\U0001d7ff]+").sub(_plain, text)
    return unicodedata.normalize("NFC", text.casefold())


def split_units(text: str) -> list[str]:
    """The units of a text, folded: words, and the characters of scripts without blanks."""
    if text.isascii():
        return _ASCII_UNIT.findall(text.lower())
    found: list[str] = compile_pattern(_UNIT).findall(fold_text(text))
    return found


def split_phrases(text: str) -> list[list[str]]:
    """The units of each sentence, line or other phrase of a text that has any."""
    folded = fold_text(text)
    if folded.isascii():
        phrases = map(_ASCII_UNIT.findall, _ASCII_BREAK.split(folded))
    else:
        phrases = map(split_units, compile_pattern(_BREAK).split(folded))
    return [units for units in phrases if units]


def weigh_units(units: Sequence[str]) -> list[int]:
    """How much each unit counts: a word `PER_WORD`, a character of a script without blanks 1."""
    if "".join(units).isascii():
        return [PER_WORD] * len(units)
    return [_weight(unit[0]) for unit in units]


def is_character(letter: str) -> bool:
    """Whether a letter or digit is of a script without blanks between words."""
    return _weight(letter) == 1


@cache
def _weight(letter: str) -> int:
    if letter.isascii() or not compile_pattern(CHARACTER).match(letter):
        return PER_WORD
    return 1


@cache
def compile_pattern(pattern: str) -> Any:
    """A pattern of the package regex, version 1, which knows scripts, marks and sets of letters."""
    # Imported for the first text that is not ASCII, which most projects never have.
    import regex

    return regex.compile(pattern, regex.V1)


def _plain(found: Any) -> str:
    return unicodedata.normalize("NFKC", found[0])
