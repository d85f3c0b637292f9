"""What the questions, choices and answers of benchmark files must be; none of them is guessed.

A missing answer is not the first choice, a text is no list of letters, and a number that may count
from 0 or from 1 is neither. Each fault is an error with its file and its line, item or turn.
"""

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError

LETTERS = "ABCDEFGH"
_GSM8K_ANSWER = re.compile(r"####\s*\S|\s*-?[\d.,]+\s*\Z")


class CellFault(Exception):
    """What is wrong with a cell, and what was expected in its place."""

    def __init__(self, what: str, expected: str) -> None:
        super().__init__(what)
        self.expected = expected


@contextmanager
def placed(file: Path, place: str) -> Iterator[None]:
    """Turn a CellFault within into a MontessoriError of a file and a place, such as "line 3"."""
    try:
        yield
    except CellFault as fault:
        raise MontessoriError(
            f"{place}: {fault}",
            where=str(file),
            expected=fault.expected,
            next=f"fix {place} of {file.name}, or fetch the file again",
        ) from fault


def is_missing(value: Any) -> bool:
    """Whether a value is absent: null, NaN, or a text of white space."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not value.strip())


def read_object(value: Any, name: str = "a row") -> dict[str, Any]:
    """A row, or a cell of this name, that is an object. Raises CellFault for anything else."""
    if not isinstance(value, dict):
        raise CellFault(f"{name} is {_show(value)}", f"{name} that is a JSON object")
    return value


def read_text(row: Any, name: str, expected: str = "a text") -> str:
    """A text of a row that is not blank. Raises CellFault for anything else."""
    value = row.get(name)
    if is_missing(value):
        raise CellFault(f"{name} is missing" if value is None else f"{name} is blank", expected)
    if not isinstance(value, str):
        raise CellFault(f"{name} is {_show(value)}, not a text", expected)
    return value


def read_texts(row: Any, name: str, least: int = 1) -> list[str]:
    """A list of texts of a row, none of them blank. Raises CellFault for anything else."""
    value, expected = row.get(name), f"a list of {least} texts or more"
    if not isinstance(value, list | tuple) or len(value) < least:
        raise CellFault(f"{name} is {_show(value)}, not {expected}", expected)
    for number, text in enumerate(value, 1):
        if not isinstance(text, str) or is_missing(text):
            raise CellFault(f"{name} {number} of {len(value)} is {_show(text)}", expected)
    return list(value)


def read_choice(text: str) -> int:
    """The place of the right one of four choices, from a cell: A to D, or 0 to 3.

    Raises CellFault for anything else.
    """
    expected = "A, B, C or D, or a place counted from 0: 0, 1, 2 or 3"
    cell = text.strip()
    if not cell:
        raise CellFault("the answer is missing", expected)
    if len(cell) == 1 and cell in "ABCD":
        return "ABCD".index(cell)
    if len(cell) == 1 and cell in "0123":
        return int(cell)
    if cell == "4":
        raise CellFault("the answer is 4: the file counts its choices from 1", expected)
    raise CellFault(f"the answer is {cell[:40]!r}", expected)


def require_place(gold: Any, choices: Sequence[str]) -> int:
    """A right choice's place among others, not all alike. Raises CellFault otherwise.

    Two equal choices are no fault: MMLU as published has some, the right one among them.
    """
    expected = f"the place of one of {len(choices)} choices, counted from 0"
    if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise CellFault(f"the right choice is {_show(gold)}", expected)
    if len(set(choices)) == 1:
        raise CellFault(f"all choices are {choices[gold][:40]!r}", "different choices")
    return gold


def require_gsm8k_answer(row: Any) -> str:
    """An answer of GSM8K, which ends with `#### 18`; a number alone is one too."""
    answer = read_text(row, "answer", 'a text that ends with "#### 18"')
    if not _GSM8K_ANSWER.search(answer):
        raise CellFault(f'answer has no "####": {_show(answer)}', 'a text that ends with "#### 18"')
    return answer


def _show(value: Any) -> str:
    if value is None:
        return "missing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
