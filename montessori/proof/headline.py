"""The front page's table: what the rounds gain, and what explains the gain, each figure once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from montessori.compare.outcomes import MEAN, ORDER
from montessori.compare.words import signed
from montessori.evals.statistics import over_seeds
from montessori.proof.markdown import markdown_table
from montessori.proof.newest import Key, Record, choose_newest, date_of
from montessori.proof.summary import points

BASELINE = "self-instruct"
#: Run and what its data are. A student without records of a run has no row of it.
ROWS = (
    (BASELINE, "2,000 rows of the untuned teacher"),
    ("montessori-1", "2,000 rows of the teacher after one round"),
    ("montessori-2", "2,000 rows of the teacher after two rounds"),
    ("self-instruct-4300", "4,300 rows of the untuned teacher: the student compute of one round"),
    ("placebo", "one round with its scores shuffled among the rows of each prompt"),
)
CHOICE = "micro_mmlu"
OTHERS = tuple(name for name in ORDER if name.startswith("micro_") and name != CHOICE)
HEAD = ("student", "run", "trained on", "mean", "mean less Self-Instruct's",
        f"the same on `{CHOICE}`", "on the other three", "recorded")  # fmt: skip

Entry = Mapping[str, Any]


def headline_block(records: Iterable[Record]) -> str:
    """One table over all students: mean, its difference to Self-Instruct, and what that consists
    of, from the newest record of each run and seed."""
    newest = choose_newest(records)
    students = sorted({student for student, _, _ in newest})
    lines = [
        line
        for student in students
        for run, data in ROWS
        for line in _lines(newest, student, run, data)
    ]
    return markdown_table(HEAD, lines)


def _lines(newest: Mapping[Key, Record], student: str, run: str, data: str) -> list[list[str]]:
    """The table's line of a run; none where the student has no records of it."""
    seeds = _seeds(newest, student, run)
    if not seeds:
        return []
    own = [newest[student, run, seed] for seed in seeds]
    other = [newest[student, BASELINE, seed] for seed in seeds]
    head = [student, f"`{run}`", data]
    if run == BASELINE:
        mean = sum(points(record, run, MEAN) for record in own) / len(own)
        return [[*head, f"{mean:.1f}", "", "", "", _dates(own)]]
    mean, choice, others = (
        over_seeds(_values(own, run, names), _values(other, BASELINE, names))
        for names in ((MEAN,), (CHOICE,), OTHERS)
    )
    cells = [f"{mean['value']:.1f}", _interval(mean), _interval(choice), _interval(others)]
    return [[*head, *cells, _dates(own)]]


def _seeds(newest: Mapping[Key, Record], student: str, run: str) -> list[int]:
    """The seeds that a student's run and its Self-Instruct were both recorded with."""
    seeds = [seed for name, which, seed in newest if (name, which) == (student, run)]
    return sorted(seed for seed in seeds if (student, BASELINE, seed) in newest)


def _values(records: Sequence[Record], run: str, metrics: Sequence[str]) -> list[float]:
    """The mean of the metrics of a run in each record, on 0-100."""
    return [sum(points(record, run, name) for name in metrics) / len(metrics) for record in records]


def _interval(entry: Entry) -> str:
    """A difference with its interval, bold where that excludes zero."""
    low, high = entry["low"], entry["high"]
    if low is None or high is None:
        return signed(entry["delta"])
    text = f"{signed(entry['delta'])} ({signed(low)} to {signed(high)})"
    return f"**{text}**" if low > 0 or high < 0 else text


def _dates(records: Sequence[Record]) -> str:
    """The days on which the records were made."""
    days = sorted({date_of(record)[:10] or "undated" for record in records})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
