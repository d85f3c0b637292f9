"""ROUGE-L as the rouge_score package computes it, to the last bit, and what a limit on it asks for.

ROUGE-L is the F-measure of precision LCS / m and recall LCS / n, with LCS the length of the
longest common subsequence of two texts of m and n words (Lin, 2004).
"""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

_WORD = re.compile(r"[a-z0-9]+")


def split_words(text: str) -> list[str]:
    """The word tokens of rouge_score: runs of a-z and 0-9 in lower case, no stemming."""
    return _WORD.findall(text.lower())


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
