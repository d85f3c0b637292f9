"""Which generated rows are kept: form, duplicates, near-duplicates, decontamination.

Text is never changed; only copies of it are normalised for comparison. The rules follow the
released code of Montessori-Instruct (lengths, words, first character, ROUGE-L), with the exact
ROUGE-L of rouge_score.
"""

import re
import string
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

_TOKEN = re.compile(r"[a-z0-9]+")
_SPACE = re.compile(r"\s+")


def normalised(text: str) -> str:
    """Lower case, one blank for any white space, no punctuation at the ends."""
    return _SPACE.sub(" ", text.lower()).strip(string.punctuation + " ")


def fingerprint(turns: Sequence[str]) -> str:
    """The user turns of a row in the form by which duplicates and eval items are recognised."""
    return "\n".join(normalised(turn) for turn in turns)


def words(text: str) -> list[str]:
    """The word tokens of rouge_score (lower-case letters and digits, no stemming)."""
    return _TOKEN.findall(text.lower())


class FormFilter:
    """Length in characters, banned words and the first character of an instruction."""

    def __init__(
        self,
        min_characters: int,
        max_characters: int,
        banned_words: Sequence[str] = (),
        first_character: bool = False,
    ) -> None:
        self.min_characters, self.max_characters = min_characters, max_characters
        self.first_character = first_character
        alternatives = "|".join(re.escape(word) for word in banned_words)
        self._banned = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)
        self._any_banned = bool(banned_words)

    def problem(self, text: str) -> str | None:
        """Why an instruction is dropped: "short", "long", "banned word", "first character"."""
        if len(text) < self.min_characters:
            return "short"
        if len(text) > self.max_characters:
            return "long"
        if self._any_banned and self._banned.search(text):
            return "banned word"
        first = text[:1]
        if self.first_character and (first in string.punctuation or not first.isascii()):
            return "first character"
        return None


def rouge_l(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """ROUGE-L F-measure of two token sequences (Lin, 2004), in [0, 1]; 0 if one is empty.

    Equal to rouge_score's `rougeL` fmeasure: 2 LCS / (m + n).
    """
    from rapidfuzz.distance import LCSseq

    total = len(first) + len(second)
    return 2 * LCSseq.similarity(first, second) / total if first and second else 0.0


class NearDuplicates:
    """Texts seen so far; tells whether a new one is too close to any of them.

    `limit` is a ROUGE-L F-measure: a text above it against any earlier one is a near-duplicate;
    1 or more switches this off. Two bounds on the longest common subsequence spare nearly all
    comparisons: it is at most the shorter length, and at most the number of words in common.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._ids: dict[str, int] = {}
        self._sequences: list[list[int]] = []
        self._lengths = np.zeros(64, dtype=np.int32)
        self._places: dict[tuple[int, int], list[int]] = {}  # (word, its nth use) -> texts

    def add(self, text: str) -> None:
        """Remember a text."""
        sequence = self._encode(text)
        place = len(self._sequences)
        if place == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
        self._lengths[place] = len(sequence)
        self._sequences.append(sequence)
        for key in _uses(sequence):
            self._places.setdefault(key, []).append(place)

    def closest(self, text: str) -> float:
        """The largest ROUGE-L above `limit` against a remembered text, else 0."""
        if self.limit >= 1:
            return 0.0
        sequence = self._encode(text)
        best = self.limit
        for place in self._candidates(sequence):
            best = max(best, rouge_l(sequence, self._sequences[place]))
        return best if best > self.limit else 0.0

    def _encode(self, text: str) -> list[int]:
        return [self._ids.setdefault(word, len(self._ids)) for word in words(text)]

    def _candidates(self, sequence: list[int]) -> np.ndarray:
        """Texts whose bounds allow an F-measure above the limit, (candidates,) int64."""
        count = len(self._sequences)
        overlap = np.zeros(count, dtype=np.int32)  # words in common, counted with repeats
        for key in _uses(sequence):
            overlap[self._places.get(key, [])] += 1
        total = self._lengths[:count] + len(sequence)
        return np.flatnonzero(2 * overlap > self.limit * total - 1e-9)


def _uses(sequence: Sequence[int]) -> list[tuple[int, int]]:
    """Each word with the number of its earlier uses in the text: all pairs differ."""
    counts: dict[int, int] = {}
    uses = []
    for word in sequence:
        counts[word] = counts.get(word, -1) + 1
        uses.append((word, counts[word]))
    return uses


class Keeper:
    """All filters of a dataset, applied in row order; remembers what it kept.

    `known` are rows (user turns each) that count as earlier, such as the seeds; `evals` are
    fingerprints of eval items, none of which may be written again.
    """

    def __init__(
        self,
        form: FormFilter,
        limit: float,
        known: Iterable[Sequence[str]] = (),
        evals: Iterable[str] = (),
    ) -> None:
        self.form = form
        self.evals = frozenset(evals)
        self._near = NearDuplicates(limit)
        self._seen: set[str] = set()
        for turns in known:
            self.add(turns)

    def add(self, turns: Sequence[str]) -> None:
        """Count a row as kept."""
        print_of_turns = fingerprint(turns)
        if print_of_turns not in self._seen:
            self._seen.add(print_of_turns)
            self._near.add("\n".join(turns))

    def problem(self, turns: Sequence[str]) -> str | None:
        """Why a row is dropped, or None.

        "short", "long", "banned word", "first character", "eval item", "duplicate",
        "near-duplicate".
        """
        found = self.form.problem(turns[0])
        if found is None and any(len(turn) > self.form.max_characters for turn in turns):
            found = "long"
        if found is not None:
            return found
        print_of_turns = fingerprint(turns)
        if print_of_turns in self.evals:
            return "eval item"
        if print_of_turns in self._seen:
            return "duplicate"
        return "near-duplicate" if self._near.closest("\n".join(turns)) > 0 else None
