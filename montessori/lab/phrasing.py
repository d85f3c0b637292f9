"""Templates that work both ways: slots to text and text back to slots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from montessori.lab.words import plural_of, singular_of

Slots = dict[str, Any]
Owner = TypeVar("Owner")

LONGEST_TEXT = 600  # characters; nothing longer is ever parsed

# No leading zeros, so that each number has one spelling.
_NUMBER = r"(?:0|[1-9][0-9]{0,4})"
_WORD = r"[a-z]{1,16}"
_SLOT = re.compile(r"\{(\w+)(?::([^{}]+))?\}")
_LETTERS = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class SlotKind:
    """How values of one kind are matched, read and written."""

    pattern: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _split_template(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


def _read_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(item) for item in text.split(", "))


def join_items(items: Iterable[object]) -> str:
    """Return the items as lists are written here: `4, 7, 10`."""
    return ", ".join(str(item) for item in items)


KINDS: dict[str, SlotKind] = {
    "number": SlotKind(_NUMBER, int, str),
    "numbers": SlotKind(f"{_NUMBER}(?:, {_NUMBER}){{1,7}}", _read_numbers, join_items),
    "word": SlotKind(_WORD, str, str),
    "words": SlotKind(f"{_WORD}(?:, {_WORD}){{1,7}}", _split_template, join_items),
    "name": SlotKind(r"[A-Z][a-z]{1,15}", str, str),
    "one": SlotKind(_WORD, str, str),
    "many": SlotKind(_WORD, singular_of, plural_of),
}


def _slot_kind(spec: str | None) -> SlotKind:
    """Return the kind named by `spec`; `first|last` allows exactly these words."""
    if spec is not None and "|" in spec:
        return SlotKind(f"(?:{spec})", str, str)
    return KINDS[spec or "number"]


@dataclass(frozen=True)
class Phrasing:
    """One wording of a task, such as `What is {a} plus {b}?`.

    A slot is `{name}` (a number) or `{name:kind}`, with a kind of `KINDS` or the
    allowed words separated by bars. A slot that occurs twice must hold the same value.
    """

    template: str

    def render(self, slots: Mapping[str, Any]) -> str:
        """Return the text for these slots; slots that the wording lacks are ignored."""
        return _SLOT.sub(lambda m: _slot_kind(m[2]).write(slots[m[1]]), self.template)

    def parse(self, text: str) -> Slots | None:
        """Return the slots with which `text` is this wording, or None."""
        if len(text) > LONGEST_TEXT:
            return None
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        slots: Slots = {}
        for group, (name, kind) in self._groups.items():
            value = kind.read(match[group])
            # One name with two kinds, such as singular and plural, has two groups; they must agree.
            if slots.setdefault(name, value) != value:
                return None
        return slots

    @cached_property
    def literals(self) -> frozenset[str]:
        """The words outside the slots."""
        return frozenset(_LETTERS.findall(_SLOT.sub(" ", self.template)))

    @cached_property
    def _groups(self) -> dict[str, tuple[str, SlotKind]]:
        """The slots as (name, kind), by the name of their first group."""
        seen: dict[tuple[str, str | None], str] = {}
        for m in _SLOT.finditer(self.template):
            seen.setdefault((m[1], m[2]), f"g{len(seen)}")
        return {group: (name, _slot_kind(spec)) for (name, spec), group in seen.items()}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """The expression that matches this wording; repeated slots are back-references."""
        parts: list[str] = []
        seen: dict[tuple[str, str | None], str] = {}
        end = 0
        for m in _SLOT.finditer(self.template):
            parts.append(re.escape(self.template[end : m.start()]))
            slot = (m[1], m[2])
            if slot in seen:
                parts.append(f"(?P={seen[slot]})")
            else:
                seen[slot] = f"g{len(seen)}"
                parts.append(f"(?P<{seen[slot]}>{_slot_kind(m[2]).pattern})")
            end = m.end()
        return re.compile("".join(parts) + re.escape(self.template[end:]))


def make_phrasings(*templates: str) -> tuple[Phrasing, ...]:
    """Return the templates as phrasings."""
    return tuple(Phrasing(template) for template in templates)


class PhrasingIndex(Generic[Owner]):
    """Finds the phrasings a text may be, by the rarest fixed word of each."""

    def __init__(self, entries: Iterable[tuple[Phrasing, Owner]]) -> None:
        self._entries = list(entries)
        common: Counter[str] = Counter()
        for phrasing, _ in self._entries:
            common.update(phrasing.literals)
        self._by_anchor: dict[str | None, list[int]] = {}
        for number, (phrasing, _) in enumerate(self._entries):
            # The word itself breaks ties, because the order of a set of strings differs between
            # processes.
            anchor = min(phrasing.literals, key=lambda w: (common[w], w), default=None)
            self._by_anchor.setdefault(anchor, []).append(number)

    def matches(self, text: str) -> Iterator[tuple[Owner, Slots]]:
        """Yield each owner whose phrasing is `text`, with the slots, in entry order."""
        if len(text) > LONGEST_TEXT:
            return
        # None stands for wordings without any word, such as `{a} + {b} = ?`.
        anchors: set[str | None] = {None, *_LETTERS.findall(text)}
        numbers: list[int] = []
        for anchor in anchors:
            numbers += self._by_anchor.get(anchor, ())
        # The first entry that fits wins, so the order must be that of the entries, not of the set.
        for number in sorted(numbers):
            phrasing, owner = self._entries[number]
            slots = phrasing.parse(text)
            if slots is not None:
                yield owner, slots
