"""The metrics of written rows."""

from collections import Counter

import polars as pl

from montessori.artifacts.dialogue import user_turns
from montessori.worlds import grade_row
from montessori.writing.collapse import Tally

OTHER = "other"  # rows that are no task of the lab


def count(tally: Tally, frame: pl.DataFrame) -> None:
    """Add the rows of a PART or PROBE table to `tally`."""
    kept = frame.filter(pl.col("dropped").is_null())["instruction"]
    tally.add(frame["raw"].to_list(), frame["dropped"].to_list(), kept.to_list())


def measure(written: pl.DataFrame, rows: pl.DataFrame, tally: Tally) -> dict[str, object]:
    """Metrics of all samples `written` (PART) and of the kept `rows` among them.

    Shares are in [0, 1]; lengths are means in the teacher's tokens; `valid` is the share of
    kept rows that are tasks of the lab and `correct` the share of those whose responses are all
    right (left out where there are none).
    """
    tokens = pl.col("instruction_tokens").sum() + pl.col("response_tokens").sum()
    metrics: dict[str, object] = {
        "samples": written.height,
        "rows": rows.height,
        "kept": 1 - sum(tally.dropped.values()) / max(1, tally.samples),
        "dropped": dict(sorted(tally.dropped.items())),
        "tokens": int(written.select(tokens).item()),
        "instruction_tokens": _mean(written, "instruction_tokens"),
        "response_tokens": _mean(rows, "response_tokens"),
        "openings": len(tally.openings),
        **tally.shares(),
    }
    return metrics | _lab_metrics(rows)


def skills(rows: pl.DataFrame) -> dict[str, int]:
    """Rows per skill, by name; rows without one count as "other"."""
    counts = Counter(skill or OTHER for skill in rows["skill"].to_list())
    return dict(sorted(counts.items()))


def _lab_metrics(rows: pl.DataFrame) -> dict[str, object]:
    grades = []
    for messages in rows["messages"].to_list():
        responses = [m["content"] for m in messages if m["role"] == "assistant"]
        grades.append(grade_row(user_turns(messages), responses))
    known = [all(grade.correct) for grade in grades if grade is not None]
    metrics: dict[str, object] = {"valid": len(known) / max(1, len(grades))}
    if known:
        metrics |= {"correct": sum(known) / len(known), "skills": skills(rows)}
    return metrics


def _mean(frame: pl.DataFrame, name: str) -> float:
    return float(frame.select(pl.col(name).mean()).item() or 0.0)
