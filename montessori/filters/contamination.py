"""Decontamination: which texts hold a benchmark's items.

A long item is recognised by any run of n words that it shares with a text (n = 13 in GPT-3, Brown
et al. 2020, appendix C); an item without so long a turn by its whole text, normalised.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from montessori.errors import MontessoriError
from montessori.filters.fingerprint import fingerprint

_WORD = re.compile(r"\w+")


class EvalItems:
    """Eval items that no training row may hold.

    `ngram` is the number of words of a run; 0 recognises items by their whole text only.
    """

    def __init__(self, ngram: int) -> None:
        self.ngram = ngram
        self._whole: dict[str, str] = {}  # fingerprint -> the item's name
        self._runs: dict[str, str] = {}  # n words -> the name of the first item with them

    def __len__(self) -> int:
        return len(self._whole)

    def add(self, name: str, turns: Sequence[str]) -> None:
        """Keep an item, the user turns of a benchmark's dialogue, out."""
        self._whole.setdefault(fingerprint(turns), name)
        for turn in turns:
            # Several items may share a run of words; the first of them gives its name in messages.
            for run in self._runs_of(turn):
                self._runs.setdefault(run, name)

    def matched_by(self, turns: Sequence[str]) -> str | None:
        """The name of an item that a row's user turns equal or contain, or None."""
        # The whole text is tried first, because an item shorter than `ngram` words has no run at
        # all.
        return self._whole.get(fingerprint(turns)) or self.held_by(turns)

    def held_by(self, texts: Iterable[str]) -> str | None:
        """The name of a long item if one of the texts contains a run of its words, or None."""
        if not self._runs:
            return None
        for text in texts:
            for run in self._runs_of(text):
                if run in self._runs:
                    return self._runs[run]
        return None

    def _runs_of(self, text: str) -> Iterator[str]:
        """Each run of `ngram` words of a text, in lower case without punctuation."""
        if self.ngram < 1:
            return
        words = _WORD.findall(text.lower())
        for start in range(len(words) - self.ngram + 1):
            yield " ".join(words[start : start + self.ngram])


def texts_revealing(turns: Sequence[str], key: str | None) -> list[Sequence[str]]:
    """The texts that give an eval item away: its whole dialogue, and maybe its first question.

    A student that has seen the first question of a two-turn item has seen half of it, so that
    question counts by itself. Items of the lab have a content key and are excepted: they share
    first turns with other tasks by design.
    """
    return [turns] if key is not None or len(turns) == 1 else [turns, turns[:1]]


def require_clean(matches: int, samples: int, limit: float, writer: str) -> None:
    """Raise MontessoriError when more than `limit` (a share) of the samples held eval items.

    `writer` is what to look at: a teacher's folder, or a file of rows.
    """
    if matches <= limit * samples:
        return
    raise MontessoriError(
        f"{matches} of {samples} samples hold eval items, {matches / samples:.1%}",
        where=writer,
        expected=f"at most {limit:.1%} (decontamination.limit): a model that writes eval "
        "items has seen them, and its paraphrases are not recognised",
        next="look where the rows or the teacher's seeds come from; if chance explains it, raise "
        "decontamination.limit",
    )
