"""ROUGE-L as the rouge_score package computes it, to the last bit, and what a limit on it asks for.

ROUGE-L is the F-measure of precision LCS / m and recall LCS / n, with LCS the length of the
longest common subsequence of two texts of m and n words (Lin, 2004).

rouge_score sees nothing but a-z and 0-9. That is kept where all letters are Latin, accents
included, so that scores are the published ones. Of other texts nothing would be left, or only what
they quote in Latin; there words and characters are told by Unicode.
"""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from montessori.filters.words import CHARACTER, LETTER, compile_pattern, fold_text

_WORD = re.compile(r"[a-z0-9]+")
#: A letter or digit that makes a text other than Latin: of another script, or in full width or a
#: mathematical font, as whole texts are written. A letter of no script, such as a micro sign, does
#: not.
_OTHER = (
    r"[[\p{L}--[\p{Latin}\p{Common}]][\p{Nd}--[0-9]]"
    r"[[\uff00-\uffef\U0001d400-\U0001d7ff]&&[\p{L}\p{N}]]]"
)
#: Runs of a-z and 0-9 as in rouge_score; a character; a word of a script with blanks.
_ANY_WORD = (
    rf"[a-z0-9]+|{CHARACTER}\p{{M}}*"
    rf"|[{LETTER}--[\p{{Latin}}0-9]][[{LETTER}\p{{M}}]--[\p{{Latin}}0-9]]*"
)


def split_words(text: str) -> list[str]:
    """The word tokens of a text, for ROUGE.

    Those of rouge_score, runs of a-z and 0-9 in lower case without stemming, if all letters are
    Latin. In any other text these runs, the words of other scripts with their marks, and each
    character of scripts without blanks between words.
    """
    if is_latin(text):
        return _WORD.findall(text.lower())
    words: list[str] = compile_pattern(_ANY_WORD).findall(fold_text(text))
    return words


def is_latin(text: str) -> bool:
    """Whether rouge_score is followed: no letter or digit is of another script than the Latin."""
    return text.isascii() or compile_pattern(_OTHER).search(text) is None


def rouge_l(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """ROUGE-L F-measure of two token sequences, in [0, 1]; 0 if they have nothing in common."""
    from rapidfuzz.distance import LCSseq

    common = LCSseq.similarity(first, second)
    return float(f_measure(common, len(first), len(second))) if common else 0.0


def f_measure(common: Any, first: Any, second: Any) -> Any:
    """F-measure of `common` > 0 words in texts of `first` and `second` words; numbers or arrays.

    The same operations in the same order as in rouge_score, so that a score at a limit falls on
    the same side of it (2 LCS / (m + n) is the same number, but not the same float).
    """
    precision, recall = common / first, common / second
    return 2 * precision * recall / (precision + recall)


def least_common_words(first: int, second: Any, limit: float) -> Any:
    """Least LCS with an F-measure above `limit` in [0, 1); `second` is an array of int64 lengths.

    It may be more than the shorter text has words: then no LCS is enough. Rounding
    `limit * (m + n) / 2` gives it or one less, whatever the last bits of that product are.
    """
    guess = np.maximum(1, np.rint(limit * (first + second) / 2)).astype(np.int64)
    return guess + (f_measure(guess, first, second) <= limit)
