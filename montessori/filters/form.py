"""The form of an instruction: length, words, first character, language, broken text."""

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from montessori.filters.words import LETTER, compile_pattern, fold_text, is_character

#: White space that a text may hold; other control characters count as broken.
_LAYOUT = "\t\n\r"
# Markdown allows up to three blanks before a fence; four would make it an indented block.
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True)
class FormFilter:
    """Which instructions have the form that is asked for; the first five rules are the published.

    Lengths are in characters; a wide one (Chinese, Japanese, Korean) counts as two towards the
    least, because it holds a syllable or a word. `first_character` drops texts that begin with
    punctuation or a non-ASCII character; a text mostly in another script than the Latin may begin
    with any letter or digit. `min_latin` is the least share of Latin letters among the letters, 0
    to 1; `broken_text` drops undecodable bytes, control characters and open code fences.
    """

    min_characters: int
    max_characters: int
    banned_words: Sequence[str] = ()
    first_character: bool = False
    min_latin: float = 0.0
    broken_text: bool = False

    def problem(self, text: str) -> str | None:
        """Why an instruction is dropped, or None.

        "short", "long", "banned word", "first character", "language", "broken text".
        """
        if len(text) < self.min_characters and count_columns(text) < self.min_characters:
            return "short"
        if len(text) > self.max_characters:
            return "long"
        if self.banned_words and self._banned.search(fold_text(text)):
            return "banned word"
        if self.first_character and not begins_well(text):
            return "first character"
        if self.min_latin > 0 and latin_share(text) < self.min_latin:
            return "language"
        return "broken text" if self.broken_text and is_broken(text) else None

    @cached_property
    def _banned(self) -> Any:
        return compile_pattern(
            "|".join(map(_whole_word, filter(None, map(fold_text, self.banned_words))))
        )


def _whole_word(word: str) -> str:
    """A pattern of a word that is no part of another, where its script has blanks between words."""
    # Not `\b`: it would miss a banned word that begins or ends with punctuation.
    letter = rf"[{LETTER}\p{{M}}_]"
    before = "" if is_character(word[0]) else rf"(?<!{letter})"
    behind = "" if is_character(word[-1]) else rf"(?!{letter})"
    return before + re.escape(word) + behind


def count_columns(text: str) -> int:
    """Characters of a text, the wide ones as two (UAX #11: those of Chinese, Japanese, Korean)."""
    return len(text) + sum(unicodedata.east_asian_width(each) in "WF" for each in text)


def begins_well(text: str) -> bool:
    """Whether a text begins with an ASCII character that is no punctuation, as is published.

    The published rule would drop every text in another script than the Latin. One that is mostly in
    such a script may begin with a letter or digit of any.
    """
    first = text[:1]
    if first.isascii():
        return first not in string.punctuation
    kind = unicodedata.category(first)
    return kind == "Nd" or (kind[0] == "L" and latin_share(text) < 0.5)


def latin_share(text: str) -> float:
    """Share of the Latin script among a text's letters, in [0, 1]; 1 for a text without letters.

    Digits, punctuation and code around the letters do not count.
    """
    letters = [character for character in text if character.isalpha()]
    return sum(map(_is_latin, letters)) / len(letters) if letters else 1.0


@cache
def _is_latin(letter: str) -> bool:
    return letter.isascii() or "LATIN" in unicodedata.name(letter, "")


def is_broken(text: str) -> bool:
    """Whether a text has undecodable bytes, control characters or a code fence left open."""
    # U+FFFD is what a decoder writes for undecodable bytes. An odd number of fences leaves one
    # open.
    if "\ufffd" in text or len(_FENCE.findall(text)) % 2:
        return True
    return any(unicodedata.category(c) == "Cc" and c not in _LAYOUT for c in text)
