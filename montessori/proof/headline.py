"""The front page's table: what the rounds gain, and what explains the gain, each figure once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from montessori.compare.run_outcomes import MEAN
from montessori.compare.sentences import format_signed
from montessori.evals.items import ORDER
from montessori.evals.statistics import compare_over_seeds
from montessori.proof.markdown import markdown_table
from montessori.proof.newest import (
    Choose,
    Record,
    newest_of,
    older_note,
    provenance,
    recorded_text,
    records_of,
)
from montessori.proof.summary import points
from montessori.proof.table import seed_ranges

BASELINE = "self-instruct"
#: Profile, run, and what its data are. A student without records of a run has no row of it.
ROWS = (
    ("controls", BASELINE, "2,000 rows of the untuned teacher"),
    ("controls", "montessori-1", "2,000 rows of the teacher after one round"),
    ("controls", "montessori-2", "2,000 rows of the teacher after two rounds"),
    ("budgets", "self-instruct-4300",
     "4,300 rows of the untuned teacher: the student compute of one round"),
    ("controls", "placebo", "one round with its scores shuffled among the rows of each prompt"),
)  # fmt: skip
CHOICE = "micro_mmlu"
OTHERS = tuple(name for name in ORDER if name.startswith("micro_") and name != CHOICE)
HEAD = ("student", "run", "trained on", "mean", "mean less Self-Instruct's",
        f"the same on `{CHOICE}`", "on the other three", "recorded")  # fmt: skip

Entry = Mapping[str, Any]


def headline_block(records: Sequence[Record]) -> str:
    """One table over all students: mean, its difference to Self-Instruct, and what that consists
    of, from the newest record of each run and seed."""
    choose = newest_of(records)
    lines, shown = [], []
    for student in sorted({record["student"] for record in records}):
        for profile, run, data in ROWS:
            own = [r for r in records_of(records, profile)
                   if r["student"] == student and {run, BASELINE} <= set(r["order"])]  # fmt: skip
            if own:
                lines.append([student, f"`{run}`", data, *_cells(own, run, choose)])
                shown.append(provenance([choose(record, run) for record in own]))
    seeds = sorted({record["seed"] for record in records_of(records, ROWS[0][0])})
    text = (
        f"Means over seeds {seed_ranges(seeds)}, on 0-100. Differences are paired by seed and have "
        "95 % t-intervals over seeds, bold where they exclude zero. Each figure is from the newest "
        f"record of its run. {older_note(shown)}"
    )
    return f"{markdown_table(HEAD, lines)}\n\n{text}"


def _cells(records: Sequence[Record], run: str, choose: Choose) -> list[str]:
    """Mean, differences and dates of a run; the records are those of its profile."""
    records = sorted(records, key=lambda record: record["seed"])
    own = [choose(record, run) for record in records]
    other = [choose(record, BASELINE) for record in records]
    mean, choice, others = (
        compare_over_seeds(_values(own, run, names), _values(other, BASELINE, names))
        for names in ((MEAN,), (CHOICE,), OTHERS)
    )
    entries = () if run == BASELINE else (mean, choice, others)
    cells = [_interval(entry) for entry in entries] or ["", "", ""]
    return [f"{mean['value']:.1f}", *cells, recorded_text(provenance(own))]


def _values(records: Sequence[Record], run: str, metrics: Sequence[str]) -> list[float]:
    """The mean of the metrics of a run in each record, on 0-100."""
    return [sum(points(record, run, name) for name in metrics) / len(metrics) for record in records]


def _interval(entry: Entry) -> str:
    """A difference with its interval, bold where that excludes zero."""
    low, high = entry["low"], entry["high"]
    if low is None or high is None:
        return format_signed(entry["delta"])
    text = f"{format_signed(entry['delta'])} ({format_signed(low)} to {format_signed(high)})"
    return f"**{text}**" if low > 0 or high < 0 else text
