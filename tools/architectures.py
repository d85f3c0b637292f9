"""The table of architectures: what became of each check, from the record of `tools/zoo.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RECORD = Path(__file__).resolve().parents[1] / "docs" / "reference" / "architectures.json"
WORDS = {"pass": "yes", "refused": "refused", "fails": "wrong"}


def describe_architectures() -> str:
    """Counts, a row for each architecture, and the words of what is refused or wrong."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    found: dict[str, Any] = record["architectures"]
    columns = list(next(iter(found.values()))["checks"])
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    notes: list[str] = []
    rows = [
        "| architecture | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
        *(_row(name, entry["checks"], notes) for name, entry in found.items()),
    ]
    parts = [f"{_count(found)} Checked with {versions}.", "\n".join(rows)]
    if notes:
        parts.append("\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1)))
    return "\n\n".join(parts)


def _count(found: dict[str, Any]) -> str:
    results = [_results(entry) for entry in found.values()]
    whole = sum(kinds == {"pass"} for kinds in results)
    slower = sum("falls back" in kinds and kinds <= {"pass", "falls back"} for kinds in results)
    refused = sum("refused" in kinds and "fails" not in kinds for kinds in results)
    wrong = sum("fails" in kinds for kinds in results)
    return (
        f"{len(found)} architectures: {whole} supported, {slower} supported with something done "
        f"more slowly, {refused} refused in part, {wrong} wrong in part."
    )


def _results(entry: dict[str, Any]) -> set[str]:
    return {result for result, _ in entry["checks"].values()}


def _row(name: str, checks: dict[str, list[str]], notes: list[str]) -> str:
    return f"| `{name}` | " + " | ".join(_cells(checks, notes)) + " |"


def _cells(checks: dict[str, list[str]], notes: list[str]) -> Iterator[str]:
    """A word for each result; of what is refused or wrong, with the number of its note."""
    for result, words in checks.values():
        if result == "falls back":
            yield words.partition(":")[0]
        elif result == "pass":
            yield WORDS[result]
        else:
            note = words.replace("|", "\\|").replace("<", "&lt;")
            if note not in notes:
                notes.append(note)
            yield f"{WORDS[result]} ({notes.index(note) + 1})"
