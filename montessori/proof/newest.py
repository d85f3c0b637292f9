"""Choose the newest of several records of the same run, student and seed.

Profiles share runs (every profile has the default rows), and different code may have recorded
them. All pages take their figures from here, so no two pages differ on the same run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]  # with the keys that `at_hand.read_records` adds
Choose = Callable[[Record, str], Record]  # a profile's record and a run -> the record to show

UNDATED = ""  # date of a record from before records had dates; sorts before every date


def choose_newest(records: Iterable[Record]) -> Choose:
    """Build the function that replaces a record by the newest record of the same run.

    Two records are of the same run if student, seed, name and definition agree. A record of
    today's code and params is newer than any other; otherwise the date decides. Of the runs, the
    returned record has this one alone. Metrics that only older records have (exams) are added.
    """
    by_run: dict[tuple[str, ...], list[Record]] = {}
    for record in sorted(records, key=_age_key):
        for run in record["order"]:
            by_run.setdefault(_run_key(record, run), []).append(record)

    def choose(record: Record, run: str) -> Record:
        alike = by_run[_run_key(record, run)]
        metrics: dict[str, Any] = {}
        for older_first in alike:  # so that newer values overwrite older ones
            metrics |= older_first["metrics"]["eval"][run]
        newest = alike[-1]
        return {**newest, "metrics": {**newest["metrics"], "eval": {run: metrics}}}

    return choose


def own_figures(record: Record, run: str) -> Record:
    """Return the record itself: the choice that never looks at other records."""
    return record


def _age_key(record: Record) -> tuple[bool, str]:
    """A key that sorts records from the oldest to the newest."""
    # False sorts before True, so records of today's code come last, whatever their dates.
    return not record["older"], date_of(record)


def _run_key(record: Record, run: str) -> tuple[str, ...]:
    return record["student"], str(record["seed"]), run, record["definitions"][run]


def date_of(record: Record) -> str:
    """When the experiment was recorded, in UTC, such as 2026-11-22T10:10:23Z."""
    return str(record.get("recorded", UNDATED))


def records_of(records: Iterable[Record], profile: str) -> list[Record]:
    """Select the records of a profile that are shown.

    A student with records of today's code and params shows only those, any other student all of
    its records: old seeds and new ones together would not be one experiment.
    """
    own = [record for record in records if record["profile"] == profile]
    current = {record["student"] for record in own if not record.get("older", False)}
    shown = []
    for record in own:
        if record["student"] not in current or not record.get("older", False):
            shown.append(record)
    return shown


def provenance_of(records: Sequence[Record]) -> dict[str, Any]:
    """Say when records were made and how many of them older code made.

    Returns {"from", "to": days, "seeds": number of records, "older": number by older code}.
    """
    days = sorted(date_of(record)[:10] for record in records)
    older = sum(bool(record.get("older", False)) for record in records)
    return {"from": days[0], "to": days[-1], "seeds": len(records), "older": older}


def recorded_text(provenance: Mapping[str, Any]) -> str:
    """`2026-11-22 by older code`; `2026-11-22 to 2026-12-01, 2 of 5 by older code`."""
    days = dict.fromkeys(day for day in (provenance["from"], provenance["to"]) if day)
    when = " to ".join(days) or "undated"
    if not provenance["older"]:
        return when
    if provenance["older"] == provenance["seeds"]:
        return f"{when} by older code"
    return f"{when}, {provenance['older']} of {provenance['seeds']} by older code"


def older_note(provenances: Sequence[Mapping[str, Any]]) -> str:
    """Warn of figures that older code recorded; empty if there are none.

    provenances: one of each run that is shown.
    """
    older = sum(provenance["older"] for provenance in provenances)
    seeds = sum(provenance["seeds"] for provenance in provenances)
    if not older:
        return ""
    whole = "All of these figures were" if older == seeds else "Some of these figures were"
    return (
        f"**{whole} recorded by older code**: the code or the settings have changed since, and a "
        "new run may give others."
    )
