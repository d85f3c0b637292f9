"""The form of an instruction: length, words, first character, language, broken text."""

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

#: White space that a text may hold; other control characters count as broken.
_LAYOUT = "\t\n\r"
# Markdown allows up to three blanks before a fence; four would make it an indented block.
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True)
class FormFilter:
    """Which instructions have the form that is asked for; the first five rules are the published.

    Lengths are in characters. `min_latin` is the least share of Latin letters among the letters, 0
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
        if len(text) < self.min_characters:
            return "short"
        if len(text) > self.max_characters:
            return "long"
        if self.banned_words and self._banned.search(text):
            return "banned word"
        first = text[:1]
        if self.first_character and (first in string.punctuation or not first.isascii()):
            return "first character"
        if self.min_latin > 0 and latin_share(text) < self.min_latin:
            return "language"
        return "broken text" if self.broken_text and is_broken(text) else None

    @cached_property
    def _banned(self) -> re.Pattern[str]:
        alternatives = "|".join(re.escape(word) for word in self.banned_words)
        # Not `\b`: it would miss a banned word that begins or ends with punctuation.
        return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)


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
