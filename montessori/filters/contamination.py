"""Decontamination: which texts hold a benchmark's items.

A long item is recognised by any run of n words that it shares with a text (n = 13 in GPT-3, Brown
et al. 2020, appendix C); a shorter one by its whole text, normalised: as a row, as a turn of a row,
and as sentences or lines within a turn. In scripts without blanks two characters count as a word
(montessori.filters.words), so 20 words are 40 characters; GPT-4 (OpenAI 2023, appendix C) looked
for 50 in texts of any script.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from montessori.errors import MontessoriError
from montessori.filters.fingerprint import fingerprint
from montessori.filters.words import PER_WORD, split_phrases, split_units, weigh_units

#: Words that an item needs to be told within a turn, or else the length of its text: shorter ones,
#: such as "Go on", are phrases of anybody's.
_LEAST_WORDS, _LEAST_LENGTH = 3, 12


class EvalItems:
    """Eval items that no training row may hold.

    `ngram` is the number of words of a run, each as much as `PER_WORD` characters of a script
    without blanks; 0 recognises items by whole rows and turns only.
    """

    def __init__(self, ngram: int) -> None:
        self.ngram = ngram
        self._whole: dict[str, str] = {}  # fingerprint -> the item's name
        self._turns: dict[str, str] = {}  # the same of items of one turn that may be a row's turn
        self._phrases: dict[str, str] = {}  # their words, where they are fewer than `ngram`
        self._runs: dict[str, str] = {}  # n words -> the name of the first item with them

    def __len__(self) -> int:
        return len(self._whole)

    def add(self, name: str, turns: Sequence[str], only_as_row: bool = False) -> None:
        """Keep an item, the user turns of a benchmark's dialogue, out.

        A short item `only_as_row` may be a turn of a longer row, or a sentence of a turn.
        """
        self._whole.setdefault(fingerprint(turns), name)
        if len(turns) == 1 and not only_as_row:
            self._turns.setdefault(fingerprint(turns), name)
            units = split_units(turns[0])
            if sum(weigh_units(units)) < self.ngram * PER_WORD and is_distinctive(units):
                self._phrases.setdefault(" ".join(units), name)
        for turn in turns:
            # Several items may share a run of words; the first of them gives its name in messages.
            for run in self._runs_of(turn):
                self._runs.setdefault(run, name)

    def matched_by(self, turns: Sequence[str]) -> str | None:
        """The name of an item that a row's user turns equal or contain, or None."""
        # The whole text is tried first, because an item shorter than `ngram` words has no run at
        # all.
        found = self._whole.get(fingerprint(turns)) or self.held_by(turns)
        return found or self._named_in(turns)

    def _named_in(self, turns: Sequence[str]) -> str | None:
        """The name of a short item that is a turn, or whole phrases of one, or None."""
        if not self._turns:
            return None
        for turn in turns:
            found = self._turns.get(fingerprint([turn]))
            if found is None and self._phrases:
                phrases = self._phrases_of(turn)
                found = next(
                    (self._phrases[each] for each in phrases if each in self._phrases), None
                )
            if found is not None:
                return found
        return None

    def _phrases_of(self, text: str) -> Iterator[str]:
        """Each row of neighbouring phrases of a text, of fewer than `ngram` words in all."""
        units: list[str] = []
        ends = [0]  # numbers of units before each phrase
        for phrase in split_phrases(text):
            units += phrase
            ends.append(len(units))
        before = [0, *accumulate(weigh_units(units))]  # what the units before each one count
        for number, start in enumerate(ends):
            limit = before[start] + self.ngram * PER_WORD
            for end in ends[number + 1 :]:
                if before[end] >= limit:
                    break
                yield " ".join(units[start:end])

    def held_by(self, texts: Iterable[str]) -> str | None:
        """The name of a long item if one of the texts contains a run of its words, or None."""
        if not self._runs:
            return None
        for text in texts:
            for run in self._runs_of(text):
                if run in self._runs:
                    return self._runs[run]
        return None

    def repeated_by(self, responses: Iterable[str]) -> str | None:
        """The name of an item that a response is, or of a long one that it contains, or None.

        Part of a response tells no short item: answers often take up the words of a question.
        """
        responses = list(responses)
        found = self.held_by(responses)
        if found is not None or not self._turns:
            return found
        for text in responses:
            found = self._turns.get(fingerprint([text]))
            if found is not None and is_distinctive(split_units(text)):
                return found
        return None

    def _runs_of(self, text: str) -> Iterator[str]:
        """Each run of `ngram` words of a text, in lower case without punctuation."""
        if self.ngram < 1:
            return
        units = split_units(text)
        weights = weigh_units(units)
        if 1 not in weights:  # words alone, the usual case
            for start in range(len(units) - self.ngram + 1):
                yield " ".join(units[start : start + self.ngram])
            return
        counted, end = 0, 0
        for start, weight in enumerate(weights):
            while counted < self.ngram * PER_WORD:
                if end == len(units):
                    return
                counted += weights[end]
                end += 1
            yield " ".join(units[start:end])
            counted -= weight


def is_distinctive(units: Sequence[str]) -> bool:
    """Whether a text of these units is long enough to be nobody's phrase but an item's."""
    long_enough = sum(weigh_units(units)) >= _LEAST_WORDS * PER_WORD
    return long_enough or len(" ".join(units)) >= _LEAST_LENGTH


def texts_revealing(turns: Sequence[str], key: str | None) -> list[Sequence[str]]:
    """The texts that give an eval item away: its whole dialogue, and maybe its first question.

    A student that has seen the first question of a two-turn item has seen half of it, so that
    question counts by itself. Items of the lab have a content key and are excepted: they share
    turns with other tasks by design.
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
