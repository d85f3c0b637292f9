"""Where the answer stands in what a model wrote."""

import re

_TAGGED = re.compile(r"<ans>((?:(?!</?ans>).)*)</ans>", re.DOTALL)
_FINAL = re.compile(r"####\s*([^\n]+)")
_STATED = re.compile(r"\bthe answer is:?\s+([^\n]+)", re.IGNORECASE)
_EDGES = " \t\r\n.,;:!?\"'`"


def tagged_answer(text: str) -> str | None:
    """The content of the last `<ans>..</ans>` (ARTE's format), None without one or if empty."""
    found = _TAGGED.findall(text)
    return (found[-1].strip() or None) if found else None


def answer_of(text: str) -> str:
    """The answer in a written text: tagged, behind "####" or "the answer is", else all of it."""
    tagged = tagged_answer(text)
    if tagged is not None:
        return tagged
    for pattern in (_FINAL, _STATED):
        found = pattern.findall(text)
        if found:
            return str(found[-1]).strip()
    return text.strip()


def working_of(text: str) -> str:
    """A rationale without its tagged answer."""
    return _TAGGED.sub("", text).strip()


def same_answer(given: str, target: str) -> bool:
    """Whether two answers are equal but for case, spare white space and outer punctuation."""
    return _bare(given) == _bare(target)


def _bare(text: str) -> str:
    return " ".join(text.strip(_EDGES).split()).casefold()
