"""The record of kills, a JSON line each, its summary, and the table of the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = ROOT / "metrics" / "campaign" / "kills.json"
RECORD = ROOT / "metrics" / "campaign" / "kills.jsonl"
OTHER, LITTER = ("other bytes", "missing", "half-written", "undisturbed"), ("litter", "left by")


@dataclass(frozen=True)
class Kill:
    """One start of a target: where it was killed, and what was found after the rerun.

    `moment` and `whole` are seconds of the processor, of the kill and of the undisturbed run;
    `seconds` what kill and rerun took together. `real`: started as a user does, not forked.
    """

    target: str
    number: int
    signal: str
    seed: int
    real: bool
    moment: float
    whole: float
    hit: bool
    faults: tuple[str, ...]
    seconds: float
    code: str


def append_kill(path: Path, kill: Kill) -> None:
    """Add a line to the record at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(asdict(kill)) + "\n")


def read_kills(path: Path) -> list[Kill]:
    """All kills of a record; none if there is no such file. A torn last line is left out."""
    return list(_read(path)) if path.is_file() else []


def _read(path: Path) -> Iterator[Kill]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        yield Kill(**{**record, "faults": tuple(record["faults"])})


def summarize_kills(kills: Sequence[Kill]) -> dict[str, Any]:
    """Counts by target, the signals, the seeds and the faults in words."""
    names = sorted({kill.target for kill in kills})
    return {
        "seeds": sorted({kill.seed for kill in kills}),
        "signals": {name: _count_signal(kills, name) for name in ("KILL", "TERM", "INT")},
        "targets": {n: _count([kill for kill in kills if kill.target == n]) for n in names},
        "faults": [f"{k.target} {k.number}: {fault}" for k in kills for fault in k.faults],
    }


def _count_signal(kills: Sequence[Kill], name: str) -> int:
    return sum(kill.hit for kill in kills if kill.signal == name)


def _count(kills: Sequence[Kill]) -> dict[str, float]:
    hit = [kill for kill in kills if kill.hit]
    return {
        "started": len(kills),
        "killed": len(hit),
        "real": sum(kill.real for kill in hit),
        "same_bytes": sum(not _has(kill, OTHER) for kill in hit),
        "other_bytes": sum(_has(kill, OTHER) for kill in hit),
        "litter": sum(_has(kill, LITTER) for kill in hit),
        "other_faults": sum(bool(k.faults) and not _has(k, OTHER + LITTER) for k in hit),
        "seconds": round(sum(kill.seconds for kill in kills) / max(1, len(kills)), 2),
    }


def _has(kill: Kill, kinds: tuple[str, ...]) -> bool:
    return any(fault.startswith(kinds) for fault in kill.faults)


COLUMNS = ("started", "killed", "same_bytes", "other_bytes", "litter", "other_faults")


def describe_kills(summary: Path = SUMMARY) -> str:
    """The table of the docs: a row for each target and their sum."""
    if not summary.is_file():
        return "No kill is on record yet: `python -m tools.campaign kill`."
    found = json.loads(summary.read_text(encoding="utf-8"))
    rows = {**found["targets"]}
    head = ["| target | " + " | ".join(name.replace("_", " ") for name in COLUMNS) + " |"]
    head += ["|---|" + "---:|" * len(COLUMNS)]
    lines = [_row(f"`{name}`", counts) for name, counts in rows.items()]
    total = {name: sum(counts[name] for counts in rows.values()) for name in COLUMNS}
    return "\n".join([*head, *lines, _row("**all**", total), "", _describe_signals(found)])


def _row(name: str, counts: dict[str, Any]) -> str:
    return f"| {name} | " + " | ".join(str(counts[column]) for column in COLUMNS) + " |"


def _describe_signals(found: dict[str, Any]) -> str:
    counts = ", ".join(f"{count:,} by SIG{name}" for name, count in found["signals"].items())
    real = sum(counts["real"] for counts in found["targets"].values())
    seeds = ", ".join(map(str, found["seeds"]))
    return f"{counts}; {real:,} of commands started as a user does, the rest forked. Seed {seeds}."
