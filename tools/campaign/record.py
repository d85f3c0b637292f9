"""The record of bad input: counts by class, where they come from, and every case that failed.

A run replaces what the record has of its classes, so that they can be run one by one.
"""

import json
import shlex
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tools.campaign.cases import CLASSES
from tools.campaign.judging import PASS, VERDICTS, Result

RECORD = Path("metrics/campaign/bad-input.json")
Counts = Mapping[str, Mapping[str, int]]  # of each class, how many cases ended in each verdict


def count_verdicts(results: Sequence[Result]) -> Counts:
    """How many cases of each class ended in each verdict."""
    counts: dict[str, Counter[str]] = {}
    for result in results:
        counts.setdefault(result.kind, Counter())[result.verdict] += 1
    return {kind: {word: count[word] for word in VERDICTS} for kind, count in counts.items()}


def format_table(counts: Counts) -> str:
    """Markdown: a line for each class, then all."""
    rules = " ---: |" * (len(VERDICTS) + 1)
    lines = [f"| class | cases | {' | '.join(VERDICTS)} |", f"| --- |{rules}"]
    total = {word: sum(count[word] for count in counts.values()) for word in VERDICTS}
    for kind, count in [*counts.items(), ("**all**", total)]:
        figures = [sum(count.values()), *(count[word] for word in VERDICTS)]
        lines.append(f"| {kind} | {' | '.join(f'{figure:,}' for figure in figures)} |")
    return "\n".join(lines)


def write_record(path: Path, results: Sequence[Result], seed: int) -> None:
    """Put the counts and the failed cases of these results into a record; other classes stay."""
    counts = count_verdicts(results)
    old = read_record(path)
    code = {"seed": seed, "commit": _read_commit()}
    classes = {**old["classes"], **{kind: {**code, **count} for kind, count in counts.items()}}
    failed = [case for case in old["failed"] if case["kind"] not in counts]
    failed += [_describe_failure(result, seed) for result in results if result.verdict != PASS]
    record = {
        "command": "python -m tools.campaign bad-input",
        "classes": {kind: classes[kind] for kind in CLASSES if kind in classes},
        "failed": failed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """A record, an empty one where there is none."""
    if not path.is_file():
        return {"classes": {}, "failed": []}
    return json.loads(path.read_text(encoding="utf-8"))


def describe_record(path: Path = RECORD) -> str:
    """The table of the docs, and where its figures come from."""
    classes = read_record(path)["classes"]
    if not classes:
        return "No case is on record yet: `python -m tools.campaign bad-input`."
    counts = {kind: {word: entry[word] for word in VERDICTS} for kind, entry in classes.items()}
    seeds = ", ".join(sorted({str(entry["seed"]) for entry in classes.values()}))
    commits = ", ".join(sorted({entry["commit"] for entry in classes.values()}))
    told = f"Seed {seeds}; code of commit {commits}; `python -m tools.campaign bad-input`."
    return f"{format_table(counts)}\n\n{told}"


def _describe_failure(result: Result, seed: int) -> dict[str, Any]:
    """A case that did not pass, with the line that runs it again."""
    words = ["python", "-m", "tools.campaign", "bad-input", "--class", result.kind]
    again = shlex.join([*words, "--seed", str(seed), "--only", result.name])
    return {**asdict(result), "again": again}


def _read_commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
