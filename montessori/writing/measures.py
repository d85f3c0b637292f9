"""The metrics of written rows."""

from collections import Counter

import polars as pl

from montessori.artifacts.dialogue import assistant_turns, user_turns
from montessori.worlds import grade_row
from montessori.writing.collapse import Tally

OTHER = "other"  # the skill of rows that are no task of the lab


def count_samples(tally: Tally, frame: pl.DataFrame) -> None:
    """Add the rows of a PART or PROBE table to `tally`."""
    kept = frame.filter(pl.col("dropped").is_null())["instruction"]
    tally.add_samples(frame["raw"].to_list(), frame["dropped"].to_list(), kept.to_list())


def measure_rows(written: pl.DataFrame, rows: pl.DataFrame, tally: Tally) -> dict[str, object]:
    """Metrics of all samples `written` (PART) and of the kept `rows` among them.

    Shares are in [0, 1]; lengths are means in the teacher's tokens. `valid` is the share of kept
    rows that are tasks of the lab, `correct` the share of those whose responses are all right; the
    latter is missing when no row is a task of the lab.
    """
    metrics: dict[str, object] = {
        "samples": written.height,
        "rows": rows.height,
        "kept": 1 - sum(tally.dropped.values()) / max(1, tally.samples),
        "dropped": dict(sorted(tally.dropped.items())),
        "tokens": sum_known(written, "instruction_tokens", "response_tokens"),
        "instruction_tokens": mean_known(written, "instruction_tokens"),
        "response_tokens": mean_known(rows, "response_tokens"),
        "openings": len(tally.openings),
        **tally.compute_shares(),
    }
    metrics |= count_thoughts(written)
    return metrics | _measure_correctness(rows)


def count_thoughts(written: pl.DataFrame) -> dict[str, int]:
    """Texts that came behind a thought, under `thinking`, if there are any."""
    thoughts = int(written["thinking"].sum())
    return {"thinking": thoughts} if thoughts else {}


def count_skills(rows: pl.DataFrame) -> dict[str, int]:
    """Rows per skill, by name; rows without one count as "other"."""
    counts = Counter(skill or OTHER for skill in rows["skill"].to_list())
    return dict(sorted(counts.items()))


def _measure_correctness(rows: pl.DataFrame) -> dict[str, object]:
    all_correct = []
    for messages in rows["messages"].to_list():
        grade = grade_row(user_turns(messages), assistant_turns(messages))
        if grade is not None:
            all_correct.append(all(grade.correct))
    metrics: dict[str, object] = {"valid": len(all_correct) / max(1, rows.height)}
    if all_correct:
        correct = sum(all_correct) / len(all_correct)
        metrics |= {"correct": correct, "skills": count_skills(rows)}
    return metrics


def sum_known(frame: pl.DataFrame, *names: str) -> int | None:
    """The sum of columns of tokens; None where a server did not count those of some row."""
    if any(frame[name].null_count() for name in names):
        return None
    return sum(int(frame[name].sum()) for name in names)


def mean_known(frame: pl.DataFrame, name: str) -> float | None:
    """The mean of a column of tokens, 0 without rows; None where those of some row are unknown."""
    if frame[name].null_count():
        return None
    return float(frame.select(pl.col(name).mean()).item() or 0.0)
