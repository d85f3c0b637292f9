"""The table of the front page: what the rounds gain and what explains the gain."""

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
    choose_newest,
    older_note,
    provenance_of,
    recorded_text,
    records_of,
)
from montessori.proof.summary import score_points
from montessori.proof.table import seed_ranges

BASELINE = "self-instruct"
#: Profile, run, and what its data are. A student without records of a run has no row of it.
ROWS = (
    ("controls", BASELINE, "2,000 rows of the untuned teacher"),
    ("controls", "montessori-1", "2,000 rows of the teacher after one round"),
    ("controls", "montessori-2", "2,000 rows of the teacher after two rounds"),
    (
        "budgets",
        "self-instruct-4300",
        "4,300 rows of the untuned teacher: the student compute of one round",
    ),
    ("controls", "placebo", "one round with its scores shuffled among the rows of each prompt"),
)
CHOICE = "micro_mmlu"
OTHERS = tuple(name for name in ORDER if name.startswith("micro_") and name != CHOICE)
HEAD = (
    "student",
    "run",
    "trained on",
    "mean",
    "mean less Self-Instruct's",
    f"the same on `{CHOICE}`",
    "on the other three",
    "recorded",
)
TEXT_COLUMNS = tuple(HEAD.index(name) for name in ("student", "run", "trained on", "recorded"))

Entry = Mapping[str, Any]


def headline_block(records: Sequence[Record]) -> str:
    """Write one table over all students, each figure from the newest record of its run and seed.

    It has the mean, its difference to Self-Instruct, and what that difference consists of.
    """
    choose = choose_newest(records)
    lines: list[list[str]] = []
    provenances: list[Mapping[str, Any]] = []
    for student in sorted({record["student"] for record in records}):
        for profile, run, data in ROWS:
            own = _records_with(records_of(records, profile), student, run)
            if own:
                lines.append([student, f"`{run}`", data, *_run_cells(own, run, choose)])
                provenances.append(provenance_of([choose(record, run) for record in own]))
    seeds = sorted({record["seed"] for record in records_of(records, ROWS[0][0])})
    text = (
        f"Means over seeds {seed_ranges(seeds)}, on 0-100. Differences are paired by seed and have "
        "95 % t-intervals over seeds, bold where they exclude zero. Each figure is from the newest "
        f"record of its run. {older_note(provenances)}"
    )
    return f"{markdown_table(HEAD, lines, TEXT_COLUMNS)}\n\n{text}"


def _records_with(records: Sequence[Record], student: str, run: str) -> list[Record]:
    """A student's records that have both the run and the baseline, by seed."""
    own = [record for record in records if record["student"] == student]
    complete = [record for record in own if {run, BASELINE} <= set(record["order"])]
    return sorted(complete, key=lambda record: record["seed"])


def _run_cells(records: Sequence[Record], run: str, choose: Choose) -> list[str]:
    """A run's mean, its three differences and when it was recorded.

    records: those of the run's profile, one for each seed; `choose` gives the newest of each.
    """
    own = [choose(record, run) for record in records]
    baseline = [choose(record, BASELINE) for record in records]
    entries = []
    for metrics in ((MEAN,), (CHOICE,), OTHERS):
        own_scores = _mean_scores(own, run, metrics)
        entries.append(compare_over_seeds(own_scores, _mean_scores(baseline, BASELINE, metrics)))
    if run == BASELINE:  # compared with nothing
        cells = [""] * len(entries)
    else:
        cells = [_difference_cell(entry) for entry in entries]
    return [f"{entries[0]['value']:.1f}", *cells, recorded_text(provenance_of(own))]


def _mean_scores(records: Sequence[Record], run: str, metrics: Sequence[str]) -> list[float]:
    """The mean of some metrics of a run in each record, on 0-100."""
    means = []
    for record in records:
        scores = [score_points(record, run, name) for name in metrics]
        means.append(sum(scores) / len(metrics))
    return means


def _difference_cell(entry: Entry) -> str:
    """A difference with its interval, bold where the interval excludes zero."""
    low, high = entry["low"], entry["high"]
    if low is None or high is None:
        return format_signed(entry["delta"])
    text = f"{format_signed(entry['delta'])} ({format_signed(low)} to {format_signed(high)})"
    return f"**{text}**" if low > 0 or high < 0 else text
