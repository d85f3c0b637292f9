"""Finding the answer in what a model wrote, and comparing two answers."""

import re

_TAGGED = re.compile(r"<ans>((?:(?!</?ans>).)*)</ans>", re.DOTALL)
_FINAL = re.compile(r"####\s*([^\n]+)")
_STATED = re.compile(r"\bthe answer is:?\s+([^\n]+)", re.IGNORECASE)
#: Blanks and punctuation, with their full-width and other kin.
_EDGES = (
    " \t\r\n.,;:!?\"'`"
    + "\u3000\u3002\uff0e\uff0c\u3001\uff1b\uff1a\uff01\uff1f"
    + ("\u061f\u060c\u061b\u0964\u201c\u201d\u2018\u2019\u00ab\u00bb\u300c\u300d")
)


def tagged_answer(text: str) -> str | None:
    """The content of the last `<ans>..</ans>` (ARTE's format), None without one or if empty."""
    contents = _TAGGED.findall(text)
    return (contents[-1].strip() or None) if contents else None


def answer_of(text: str) -> str:
    """The answer in a written text: in tags, after "####" or "the answer is", else all of it."""
    tagged = tagged_answer(text)
    if tagged is not None:
        return tagged
    for pattern in (_FINAL, _STATED):
        answers = pattern.findall(text)
        if answers:
            return str(answers[-1]).strip()
    return text.strip()


def remove_answer(text: str) -> str:
    """A rationale without its tagged answer."""
    return _TAGGED.sub("", text).strip()


def is_same_answer(given: str, target: str) -> bool:
    """Whether two answers are equal apart from case, white space and outer punctuation."""
    return _normalise(given) == _normalise(target)


def _normalise(text: str) -> str:
    return " ".join(text.strip(_EDGES).split()).casefold()
