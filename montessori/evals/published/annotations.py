"""Verdicts between two models, read from a file in the annotations format of AlpacaEval.

A JSON list with one object per row: `instruction`, `generator_1`, `generator_2`, `preference`, and
usually `output_1`, `output_2` and `annotator`. A preference lies between 1 (the first answer is
better) and 2 (the second); 1.5, or 0 in older files, is a tie; null is a verdict that could not be
parsed. By convention the second generator is the model and the first is the reference that it is
compared with.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montessori.errors import MontessoriError
from montessori.evals.published.verdict_files import Row, read_value, to_printable

Floats = NDArray[np.float64]

NEEDED = ("instruction", "generator_1", "generator_2", "preference")
REFERENCES = ("gpt4_1106_preview", "text_davinci_003")  # of AlpacaEval 2 and 1
FORM = f"a JSON list of objects with {', '.join(NEEDED)}"


@dataclass(frozen=True)
class Comparison:
    """A judge's preferences between a model and a reference, row by row.

    preference: (rows,), the probability that the model's answer is the better one, 0.5 for a tie
    and NaN without a verdict. length, reference_length: (rows,), characters of the answers, NaN
    where an answer is not known.
    """

    model: str
    reference: str
    annotator: str  # "" where the file does not say
    instructions: tuple[str, ...]
    preference: Floats
    length: Floats
    reference_length: Floats
    source: str  # the file that the rows come from
    swapped: int  # rows that name the model first
    unparsed: int  # rows whose preference is null or NaN
    invalid: int  # rows whose preference is not a number from 1 to 2
    zeros: int  # rows whose preference is 0, a tie in older files
    itself: int = 0  # rows that compare a model with itself, beside others; they do not count

    @property
    def duplicates(self) -> int:
        """Number of rows whose instruction an earlier row has."""
        return len(self.instructions) - len(set(self.instructions))


def read_annotations(
    path: Path,
    model: str | None = None,
    outputs: Mapping[str, str] | None = None,
    reference_outputs: Mapping[str, str] | None = None,
) -> Comparison:
    """Read an annotations file.

    model: the name of the model that is scored; None: the one that is not AlpacaEval's reference,
    or else the one that most rows name second. outputs, reference_outputs: answers by instruction,
    for rows without answers.
    Raises MontessoriError: no such file, malformed JSON, no rows, a row without a needed key, more
    than two generators, preferences on another scale.
    """
    rows = _read_rows(path)
    _require_scale(rows, path)
    model, reference = _find_sides(rows, model, path)
    # Where a model is its own reference, no row is swapped, and each compares it with itself.
    swapped = np.array([to_printable(row["generator_1"]) == model != reference for row in rows])
    itself = np.array(
        [row["generator_1"] == row["generator_2"] and model != reference for row in rows]
    )
    given = np.array([_parse_preference(row["preference"]) for row in rows])
    given[itself] = math.nan
    missing = np.array([_is_missing(row["preference"]) for row in rows])
    return Comparison(
        model=model,
        reference=reference,
        annotator=_common_annotator(rows),
        instructions=tuple(str(row["instruction"]) for row in rows),
        preference=np.where(swapped, 2.0 - given, given - 1.0),
        length=_answer_lengths(rows, swapped, "output_2", "output_1", outputs or {}),
        reference_length=_answer_lengths(
            rows, swapped, "output_1", "output_2", reference_outputs or {}
        ),
        source=str(path),
        swapped=int(swapped.sum()),
        unparsed=int((missing & ~itself).sum()),
        invalid=int((np.isnan(given) & ~missing & ~itself).sum()),
        zeros=sum(_is_number(row["preference"]) and row["preference"] == 0 for row in rows),
        itself=int(itself.sum()),
    )


def read_outputs(path: Path) -> dict[str, str]:
    """Read answers by instruction from an outputs file of AlpacaEval: a JSON list of objects.

    In the order of the file. Raises MontessoriError: no such file, malformed, a row without
    `instruction` or `output`.
    """
    rows = read_value(path)
    if not isinstance(rows, list) or not all(map(_is_output, rows)):
        raise MontessoriError(
            "not an outputs file",
            where=str(path),
            expected="a JSON list of objects with the texts instruction and output",
            next="give a model_outputs.json of AlpacaEval",
        )
    return {row["instruction"]: row["output"] for row in rows}


def _is_output(row: Any) -> bool:
    if not _has_keys(row, ("instruction", "output")):
        return False
    return isinstance(row["instruction"], str) and isinstance(row["output"], str)


def _read_rows(path: Path) -> Sequence[Row]:
    """Read the rows of an annotations file, each with the keys NEEDED."""
    rows = read_value(path)
    if not isinstance(rows, list) or not rows:
        what = "no annotations" if rows == [] else "not a list of annotations"
        raise MontessoriError(what, where=str(path), expected=FORM, next="give --annotations FILE")
    for number, row in enumerate(rows, 1):
        if not _has_keys(row, NEEDED):
            raise MontessoriError(
                f"row {number} of {len(rows)} is not an annotation",
                where=str(path),
                expected=FORM,
                next=f"fix or remove row {number}",
            )
        _require_names(row, number, path)
    return rows


def _require_names(row: Row, number: int, path: Path) -> None:
    """Raise MontessoriError unless the instruction and both generators are texts."""
    for key in ("instruction", "generator_1", "generator_2"):
        if not isinstance(row[key], str):
            raise MontessoriError(
                f"row {number}: {key} is {row[key]!r}, not a text",
                where=str(path),
                expected=FORM,
                next=f"fix or remove row {number}",
            )


def _has_keys(row: Any, needed: Sequence[str]) -> bool:
    return isinstance(row, dict) and all(key in row for key in needed)


def _find_sides(rows: Sequence[Row], model: str | None, path: Path) -> tuple[str, str]:
    """The model and its reference; the same name twice where a model is compared with itself."""
    first = [to_printable(row["generator_1"]) for row in rows]
    second = [to_printable(row["generator_2"]) for row in rows]
    names = list(dict.fromkeys([*second, *first]))
    if len(names) > 2:
        raise _wrong_generators("more than two generators", names, path)
    if model and model not in names:
        raise _wrong_generators(f"{model} is not in the file", names, path)
    if not model:
        candidates = [name for name in names if name not in REFERENCES]
        one_reference = len(names) == 2 and len(candidates) == 1
        model = candidates[0] if one_reference else Counter(second).most_common(1)[0][0]
    others = [name for name in names if name != model]
    return model, others[0] if others else model


def _wrong_generators(what: str, names: Sequence[str], path: Path) -> MontessoriError:
    return MontessoriError(
        f"{what}: {', '.join(names[:8])}",
        where=str(path),
        expected="the rows of one model against one reference, one of them named by --model",
        next="split the file by generator, or fix --model",
    )


def _require_scale(rows: Sequence[Row], path: Path) -> None:
    """Raise MontessoriError for preferences of another scale, where 1 would mean something else.

    A 0 alone is a tie in older files; beside it some preference is above 1.
    """
    numbered = [(place, row["preference"]) for place, row in enumerate(rows, 1)]
    given = [(place, value) for place, value in numbered if _is_number(value) and value == value]
    odd = [(place, value) for place, value in given if value != 0 and not 1 <= value <= 2]
    if not odd and any(value > 1 for _, value in given):
        return
    odd = odd or [(place, value) for place, value in given if value == 0]
    if odd:
        values = [value for _, value in given]
        place, value = odd[0]
        raise MontessoriError(
            "preferences on another scale: they lie between "
            f"{_show_number(min(values))} and {_show_number(max(values))}, "
            f"and row {place} has {_show_number(value)}",
            where=str(path),
            expected="preferences from 1 (the first answer is better) to 2 (the second)",
            next="add 1 to each preference if they are from 0 to 1; bring others to 1 to 2",
        )


def _show_number(value: float) -> str:
    try:
        return f"{value:g}"
    except OverflowError:  # a whole number beyond all floats
        return "a number of hundreds of digits"


def _is_number(value: Any) -> bool:
    # In Python true and false are integers too.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _parse_preference(value: Any) -> float:
    """A preference from 1 to 2; a 0 of older files is a tie; NaN for anything else."""
    if not _is_number(value):
        return math.nan
    if value == 0:
        return 1.5
    return float(value) if 1 <= value <= 2 else math.nan


def _common_annotator(rows: Sequence[Row]) -> str:
    """The annotator of all rows; "" where they name none or several."""
    names = {to_printable(row.get("annotator") or "") for row in rows}
    return names.pop() if len(names) == 1 else ""


def _answer_lengths(
    rows: Sequence[Row], swapped: NDArray[np.bool_], key: str, other: str, known: Mapping[str, str]
) -> Floats:
    """Characters of one side's answers, (rows,): from `key`, or from `other` in swapped rows.

    known: answers by instruction, for rows without one. NaN where there is none.
    """
    lengths = []
    for row, is_swapped in zip(rows, swapped, strict=True):
        text = row.get(other if is_swapped else key, known.get(str(row["instruction"])))
        lengths.append(len(text) if isinstance(text, str) else math.nan)
    return np.array(lengths)
