"""The names that the field gives to the parts of a row, and texts under them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from montessori.artifacts.records.repeated_keys import load_json

#: Names of a question, of what is added to it, and of its answer; the first that is there counts.
ASKED = ("instruction", "prompt", "question")
ADDED = ("input", "context")
ANSWERED = ("response", "output", "completion", "answer", "chosen")
#: Names of a list of messages.
DIALOGUES = ("messages", "conversations", "conversation", "chosen_messages")
#: Names of the mark of an answer as wanted or not, as in KTO (trl, LLaMA-Factory).
LABELS = ("label", "kto_tag")
OPTIONAL = ("skill", "prompt", "raw")  # texts that a row may have
SYSTEM = ("system", "system_prompt")
#: Every name by which an object is known as a row.
FIELDS = (*ASKED, *ADDED, *ANSWERED, *DIALOGUES, *SYSTEM, "history", "instances", "rejected")
#: What cannot be learned as text, by the names that the field gives it.
NOT_TEXT = {
    "images": ("image", "images", "video", "videos", "audio", "audios"),
    "tools": ("tools", "functions"),
    "choices": ("choices", "options", "endings", "choice0", "choice1", "choice_1", "option_1", "A"),
}
_ADVICE = {
    "images": "rows are text",
    "tools": "calls of tools cannot be learned",
    "choices": "this is a question with choices; write the answer's text into a row",
}


class Malformed(Exception):
    """Why an object is no row."""


class LeftOut(Exception):
    """Why a row that can be read is not wanted: a reason that the metrics count."""


class Tally:
    """What was read in another way than it stood there, in numbers of rows."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unused: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()

    @property
    def facts(self) -> dict[str, Any]:
        """The counts that are not zero, for a stage's metrics."""
        groups = {"left_out": self.left_out, "unused_fields": self.unused}
        counted = {name: dict(sorted(group.items())) for name, group in groups.items() if group}
        return {name: count for name, count in self.counts.items() if count} | counted


def is_absent(value: Any) -> bool:
    """Whether a value stands for none: null, or the NaN of a table's export."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: absent, or an empty text, list or object, also as JSON."""
    return is_absent(value) or value in ("", "[]", "{}", "null") or value in ([], {}, ())


def first_of(value: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of `names` that is there."""
    return next((name for name in names if name in value), None)


def refuse_other_media(value: Mapping[str, Any]) -> None:
    """Raise Malformed for images, tools and choices, which are no part of a dialogue of texts."""
    for kind, names in NOT_TEXT.items():
        for name in names:
            if not is_empty(value.get(name)):
                raise Malformed(f"{name!r} holds {kind}: {_ADVICE[kind]}")


def text_of(value: Any, name: str, tally: Tally) -> str:
    """A text that is not blank; a number is one as it stands. Raises Malformed for others."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        tally.counts["numbers_as_text"] += 1
        return str(value)
    if not isinstance(value, str):
        raise Malformed(f"{name!r} is not a text ({describe(value)})")
    if not value.strip():
        raise Malformed(f"{name!r} has no text")
    return value


def list_of(value: Any, name: str) -> Any:
    """A list, which a cell of a table holds as JSON text. Raises Malformed for others."""
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            value = load_json(value)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"{name!r} is a list that is not JSON ({error})") from error
    # A text is a sequence too, and its letters are no messages.
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise Malformed(f"{name!r} is not a list")
    return value


def describe(value: Any) -> str:
    """A value in the words of JSON, cut short."""
    kinds = {bool: "true or false", dict: "an object", list: "a list", str: "a text"}
    return kinds.get(type(value)) or f"a value of type {type(value).__name__}"
