"""Of several records of the same run, student and seed: the newest, whose figures are shown.

Profiles share runs (every profile has the default rows) and may have been recorded by different
code. All pages take their figures from here, so that no two of them differ on the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]  # with the keys that `at_hand.read_records` adds
Choose = Callable[[Record, str], Record]  # a profile's record and a run -> the record to show

UNDATED = ""  # date of a record from before there were dates; sorts before every date


def newest_of(records: Iterable[Record]) -> Choose:
    """What to show instead of a record's own figures of a run: the newest record of that run.

    Records are of the same run where student, seed, name and definition agree. One that the code
    and params at hand made is newer than any other; then the date decides. The record that is
    returned has, of all runs, only the metrics of this one, completed by those that older records
    alone have (exams).
    """
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in sorted(records, key=_age):
        for run in record["order"]:
            found.setdefault(_key(record, run), []).append(record)

    def choose(record: Record, run: str) -> Record:
        alike = found[_key(record, run)]
        metrics: dict[str, Any] = {}
        for one in alike:  # oldest first
            metrics |= one["metrics"]["eval"][run]
        newest = alike[-1]
        return {**newest, "metrics": {**newest["metrics"], "eval": {run: metrics}}}

    return choose


def own_figures(record: Record, run: str) -> Record:
    """The record itself, whatever others there are."""
    return record


def _age(record: Record) -> tuple[bool, str]:
    """A key that sorts records from the oldest to the newest."""
    return not record["older"], date_of(record)


def _key(record: Record, run: str) -> tuple[str, ...]:
    return record["student"], str(record["seed"]), run, record["definitions"][run]


def date_of(record: Record) -> str:
    """When the experiment was recorded, in UTC, such as 2026-11-22T10:10:23Z."""
    return str(record.get("recorded", UNDATED))


def records_of(records: Iterable[Record], profile: str) -> list[Record]:
    """The records of a profile that are shown: of each student those that the code and params at
    hand made if there are any, else all, since older seeds beside newer ones are no one proof."""
    own = [record for record in records if record["profile"] == profile]
    current = {record["student"] for record in own if not record.get("older", False)}
    return [r for r in own if r["student"] not in current or not r.get("older", False)]


def provenance(records: Sequence[Record]) -> dict[str, Any]:
    """When records were made, and by which code: {"from", "to": days, "seeds": how many records,
    "older": how many of them older code made}."""
    days = sorted(date_of(record)[:10] for record in records)
    older = sum(bool(record.get("older", False)) for record in records)
    return {"from": days[0], "to": days[-1], "seeds": len(records), "older": older}


def recorded_text(facts: Mapping[str, Any]) -> str:
    """`2026-11-22 by older code`; `2026-11-22 to 2026-12-01, 2 of 5 by older code`."""
    days = dict.fromkeys(day for day in (facts["from"], facts["to"]) if day)
    when = " to ".join(days) or "undated"
    if not facts["older"]:
        return when
    if facts["older"] == facts["seeds"]:
        return f"{when} by older code"
    return f"{when}, {facts['older']} of {facts['seeds']} by older code"


def older_note(facts: Sequence[Mapping[str, Any]]) -> str:
    """A sentence on figures that older code recorded; empty if there are none.

    facts: the provenance of each run that is shown.
    """
    older, seeds = (sum(one[key] for one in facts) for key in ("older", "seeds"))
    if not older:
        return ""
    whole = "All of these figures were" if older == seeds else "Some of these figures were"
    return (
        f"**{whole} recorded by older code**: the code or the settings have changed since, and a "
        "new run may give others."
    )
