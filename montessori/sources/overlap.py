"""Sets that must share no content: seed pool, references and eval sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from montessori.errors import MontessoriError
from montessori.micro.grader import recognise
from montessori.sources.lab import content
from montessori.sources.rows import Row

SHOWN = 5  # overlaps listed in one error


@dataclass(frozen=True)
class Member:
    """One row or item of a set: where it is, what it asks, and what counts as its content."""

    where: str
    text: str
    contents: frozenset[str]


def normalised(turns: Iterable[str]) -> str:
    """User turns in one line, lower case, white space collapsed."""
    return " ".join(" ".join(turns).casefold().split())


def member(where: str, turns: Sequence[str], key: str | None) -> Member:
    """A member whose contents are its normalised text and, for a lab task, its content key.

    Text that nobody gave a key is recognised, so that one's own rows meet the lab's items.
    """
    if key is None:
        task = recognise(turns)
        key = None if task is None else task.key
    contents = {f"text {normalised(turns)}"}
    if key is not None:
        contents.add(f"task {content(key)}")
    return Member(where, " / ".join(turns), frozenset(contents))


def row_members(rows: Iterable[Row]) -> list[Member]:
    """Members of a set of rows."""
    return [member(row.where, row.turns, row.key) for row in rows]


def item_members(benchmarks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Member]:
    """Members of one split of the eval sets."""
    return [
        member(item["item_id"], item["turns"], item.get("key"))
        for items in benchmarks.values()
        for item in items
    ]


def check_disjoint(sets: Mapping[str, Sequence[Member]]) -> None:
    """Raise one MontessoriError that names the rows which two sets share, for all pairs of sets.

    `sets` maps what the sets are called ("reference set", "test items") to their members.
    """
    problems = []
    for (first, left), (second, right) in combinations(sets.items(), 2):
        shared = _shared(left, right)
        if shared:
            problems.append(_describe(first, second, shared))
    if problems:
        raise MontessoriError(
            "sets that must be disjoint share content\n" + "\n".join(problems),
            where="params.yaml, section sources",
            expected="no instruction in two of: seed pool, reference sets, eval sets (a reference "
            "row that is an eval item leaks the test into the training data)",
            next="remove these rows from one of the files, then dvc repro seed",
        )


def _shared(left: Sequence[Member], right: Sequence[Member]) -> list[tuple[Member, Member]]:
    owner = {text: entry for entry in reversed(right) for text in entry.contents}
    pairs = []
    for entry in left:
        other = next((owner[text] for text in sorted(entry.contents) if text in owner), None)
        if other is not None:
            pairs.append((entry, other))
    return pairs


def _describe(first: str, second: str, shared: list[tuple[Member, Member]]) -> str:
    lines = [f"  {len(shared)} of the {first} are in the {second}:"]
    for left, right in shared[:SHOWN]:
        lines.append(f"    {left.where} = {right.where}: {left.text[:80]!r}")
    if len(shared) > SHOWN:
        lines.append(f"    and {len(shared) - SHOWN} more")
    return "\n".join(lines)
