"""Near-duplicates by ROUGE-L against all earlier texts, exact, without comparing with most of them.

The longest common subsequence of two texts is at most what they have in common as bags of words.
So this is a set-similarity join. A *use* is a word with the number of its earlier uses in the
text; a text is the set of its uses, in one order for all texts. Two texts of m and n uses that
share k share one of their first m - k + 1 and n - k + 1 (prefix filter: Chaudhuri et al. 2006,
Bayardo et al. 2007), so only those are looked up; and where the last one found stands says how many
more there can be (positional filter: Xiao et al. 2008). What is left is compared by rapidfuzz.

The order is: latest seen first. A use that came up late is rare, which is what makes prefixes
short to look up, and the order never has to be changed for texts that are in the index.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from montessori.filters.rouge import least_common_words, split_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


class NearDuplicates:
    """Texts seen so far; tells whether a new one is too close to any of them.

    `limit` is a ROUGE-L F-measure in [0, 1]: a text above it against an earlier one is a
    near-duplicate; 1 switches this off. `compared` counts the pairs whose subsequence was computed.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.compared = 0
        self._numbers: dict[tuple[str, int], int] = {}  # use -> its number, in order of appearance
        self._found_in: list[array[int]] = []  # by use: text, place in its order, text, ...
        self._sequences: list[list[int]] = []  # texts; a word is the number of its first use
        self._lengths = np.zeros(64, dtype=np.int64)
        self._shared = np.zeros(64, dtype=np.int64)  # scratch: uses found of each text
        self._last = np.zeros(64, dtype=np.int64)  # scratch: the last of them
        self._prefix = cache(lambda length: prefix_length(length, limit))

    def add(self, text: str) -> None:
        """Add a text to those that later ones are compared with."""
        if self.limit >= 1:
            return
        sequence, uses = self._encode(text)
        number = len(self._sequences)
        if number == len(self._lengths):
            self._grow()
        # Only the prefix goes into the index: two texts above the limit share a use of their
        # prefixes.
        self._lengths[number] = len(sequence)
        self._sequences.append(sequence)
        for place, use in enumerate(uses[: self._prefix(len(uses))]):
            self._found_in[use].extend((number, place))

    def near(self, text: str) -> bool:
        """Whether a text is above the limit with any added text."""
        from rapidfuzz.distance import LCSseq

        if self.limit >= 1:
            return False
        sequence, uses = self._encode(text)
        for number, least in self._candidates(uses):
            self.compared += 1
            if LCSseq.similarity(sequence, self._sequences[number], score_cutoff=least):
                return True
        return False

    def _encode(self, text: str) -> tuple[list[int], list[int]]:
        """A text's words, and its uses from the latest seen to the earliest, as numbers."""
        sequence, uses = [], []
        times: Counter[str] = Counter()
        for word in split_words(text):
            sequence.append(self._number(word, 0))
            uses.append(self._number(word, times[word]))
            times[word] += 1
        # Numbers are given in order of appearance, so a high number is a use that came up late.
        uses.sort(reverse=True)
        return sequence, uses

    def _number(self, word: str, time: int) -> int:
        number = self._numbers.setdefault((word, time), len(self._numbers))
        if number == len(self._found_in):
            self._found_in.append(array("i"))
        return number

    def _grow(self) -> None:
        self._lengths, self._shared, self._last = (
            np.concatenate([old, np.zeros_like(old)])
            for old in (self._lengths, self._shared, self._last)
        )

    def _candidates(self, uses: list[int]) -> Iterator[tuple[int, int]]:
        """Remembered texts that may be above the limit, each with the least subsequence for it."""
        length = len(uses)
        found = [self._found_in[use] for use in uses[: self._prefix(length)]]
        # Each array holds pairs (text, place) one after the other; C ints are what `array("i")`
        # stores.
        hits = np.frombuffer(b"".join(found), dtype=np.intc).reshape(-1, 2)  # (hits, 2)
        own = np.repeat(np.arange(len(found)), [len(some) // 2 for some in found])
        texts, shared, last = self._tally(hits[:, 0].astype(np.int64))
        others = self._lengths[texts]
        # Beyond the last use found, the texts share at most what the shorter rest still holds.
        behind = np.minimum(length - own[last], others - hits[last, 1]) - 1
        least = least_common_words(length, others, self.limit)
        possible = shared + behind >= least
        return zip(texts[possible].tolist(), least[possible].tolist(), strict=True)

    def _tally(self, texts: "Ints") -> "tuple[Ints, Ints, Ints]":
        """Each text among the hits once, how many hits it has, and which is its last."""
        # The scratch arrays have a place for every text, but only those among the hits are reset,
        # so that a call costs as much as it has hits.
        order = np.arange(len(texts))
        self._last[texts] = order  # of equal indices the last one stays
        self._shared[texts] = 0
        # `self._shared[texts] += 1` would count a text once however often it is among the hits.
        np.add.at(self._shared, texts, 1)
        last = np.flatnonzero(self._last[texts] == order)
        once = texts[last]
        return once, self._shared[once], last


def prefix_length(length: int, limit: float) -> int:
    """How many of a text's uses have to be looked up, whatever the length of the other text.

    The least that it shares with a text above `limit` is what the shortest such text needs.
    """
    if length == 0:
        return 0
    others = np.arange(1, length + 1)
    least = least_common_words(length, others, limit)
    return length - int(least[least <= others][0]) + 1
