"""The commonest row, one question and one answer that are texts, read without a further look."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from montessori.sources.rows.fields import (
    ADDED,
    ANSWERED,
    ASKED,
    FIELDS,
    NOT_TEXT,
    OPTIONAL,
    Tally,
    is_empty,
)
from montessori.sources.rows.row import Row

#: Fields that only `forms` reads.
_SPECIAL = {*FIELDS, *OPTIONAL, "label"}.union(*NOT_TEXT.values())


class Fields(NamedTuple):
    """Which fields make the row, and which do not enter it."""

    asked: str
    answered: str
    added: str | None
    unused: tuple[str, ...]


class PlainRows:
    """Reads plain rows; remembers what fields in which order make one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Fields | None] = {}

    def read(self, value: Any, where: str, tally: Tally) -> Row | None:
        """The row of a plain object as `forms` would read it, or None for any other object."""
        if not isinstance(value, dict):
            return None
        names = tuple(value)
        if names not in self._known:
            self._known[names] = _find_fields(value)
        fields = self._known[names]
        if fields is None:
            return None
        asked, answered, added, unused = fields
        question, answer = value[asked], value[answered]
        if not _is_plain(question) or not _is_plain(answer):
            return None
        if added is not None and value[added]:
            if not _is_plain(value[added]):
                return None
            question = f"{question}\n\n{value[added]}"
        for name in unused:
            if not is_empty(value[name]):
                tally.unused[name] += 1
        return Row((question,), (answer,), None, None, None, None, where)


def _is_plain(text: Any) -> bool:
    # A text that begins like a list of messages may be one, written as JSON.
    return isinstance(text, str) and not text.isspace() and text[:2] not in ("", "[{")


def _find_fields(value: Mapping[str, Any]) -> Fields | None:
    asked = [name for name in ASKED if name in value]
    answered = [name for name in ANSWERED if name in value]
    added = [name for name in ADDED if name in value]
    if len(asked) != 1 or len(answered) != 1 or len(added) > 1:
        return None
    used = {*asked, *answered, *added}
    unused = tuple(name for name in value if name not in used)
    if not _SPECIAL.isdisjoint(unused):
        return None
    return Fields(asked[0], answered[0], added[0] if added else None, unused)
