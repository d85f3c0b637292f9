"""Sets that must share no content: seed pool, references and eval sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from montessori.artifacts.dialogue import system_prompts
from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems, texts_revealing
from montessori.filters.fingerprint import fingerprint
from montessori.sources.rows.row import Row
from montessori.worlds import content_of, find_task

SHOWN = 5  # overlaps listed in one error


@dataclass(frozen=True)
class Member:
    """One row or item of a set: where it is, what it asks and answers, what counts as its content.

    `contents` are compared for equality; eval items, which have no `responses` here, are also
    looked for in the texts of rows, `system` prompts among them, those `only_as_row` by runs of
    words alone.
    """

    where: str
    turns: tuple[str, ...]
    responses: tuple[str, ...]
    contents: frozenset[str]
    only_as_row: bool = False
    system: tuple[str, ...] = ()


def make_member(
    where: str, turns: Sequence[str], key: str | None, responses: Sequence[str] = ()
) -> Member:
    """A member whose contents are its normalised text and, for a lab task, its content key.

    Tasks of the lab are recognised in text without a key, so that a user's own rows are compared
    with the lab's items too.
    """
    if key is None:
        task = find_task(turns)
        key = None if task is None else task.key
    contents = {f"text {fingerprint(turns)}"}
    if key is not None:
        contents.add(f"task {content_of(key)}")
    return Member(where, tuple(turns), tuple(responses), frozenset(contents))


def row_members(rows: Iterable[Row]) -> list[Member]:
    """Members of a set of rows."""
    members = []
    for row in rows:
        member = make_member(row.where, row.turns, row.key, row.responses)
        members.append(replace(member, system=tuple(system_prompts(row.messages))))
    return members


def item_members(benchmarks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Member]:
    """Members of one split of the eval sets: one for each text that reveals an item."""
    members = []
    for items in benchmarks.values():
        for item in items:
            key = item.get("key")
            for turns in texts_revealing(item["turns"], key):
                member = make_member(item["item_id"], turns, key)
                # Tasks of the lab share turns with other tasks by design.
                members.append(replace(member, only_as_row=key is not None))
    return members


def check_disjoint(
    rows: Mapping[str, Sequence[Member]], items: Mapping[str, Sequence[Member]], ngram: int
) -> None:
    """Raise one MontessoriError that names what two sets share, for all pairs of sets.

    `rows` and `items` map what the sets are called ("reference set", "test items") to their
    members. A row shares an item too if `ngram` words of the item stand in a row in one of its
    texts, or a shorter item is one of its turns or whole sentences of one (0: only equal rows,
    equal turns and lab tasks count).
    """
    problems = []
    for (first, left), (second, right) in combinations([*rows.items(), *items.items()], 2):
        # Parts of a row matter only between training rows and eval items. Two sets of rows, or two
        # splits, may share a phrase.
        leak = first in rows and second in items
        shared = _shared_members(left, right, ngram if leak else None)
        if shared:
            problems.append(_describe_overlap(first, second, shared))
    if problems:
        raise MontessoriError(
            "sets that must be disjoint share content\n" + "\n".join(problems),
            where="params.yaml, section sources",
            expected="no instruction in two of: seed pool, reference sets, eval sets (a reference "
            "row that is an eval item leaks the test into the training data)",
            next="remove these rows from one of the files, then dvc repro seed; rows that only "
            "share a phrase with an item: raise decontamination.ngram",
        )


def _shared_members(
    left: Sequence[Member], right: Sequence[Member], ngram: int | None
) -> list[tuple[Member, str]]:
    """Find the members of `left` that share a text with `right`, and where it is in `right`.

    ngram: of `EvalItems`, by which `right` is looked for in parts of `left`; None: only whole
    members are compared.
    """
    owner: dict[str, str] = {}
    for entry in reversed(right):  # so that the first owner of a text is the one that stays
        owner |= dict.fromkeys(entry.contents, entry.where)
    items = EvalItems(ngram or 0)
    for entry in () if ngram is None else right:
        items.add(entry.where, entry.turns, entry.only_as_row)
    pairs = []
    for entry in left:
        # Sorted, because the order of a set of strings differs from one process to the next, and
        # the message should not.
        where = next((owner[text] for text in sorted(entry.contents) if text in owner), None)
        where = where or items.matched_by(entry.turns) or items.repeated_by(entry.responses)
        where = where or (items.matched_by(entry.system) if entry.system else None)
        if where is not None:
            pairs.append((entry, where))
    return pairs


def _describe_overlap(first: str, second: str, shared: list[tuple[Member, str]]) -> str:
    lines = [f"  {len(shared)} of the {first} are in the {second}:"]
    for entry, where in shared[:SHOWN]:
        lines.append(f"    {entry.where} = {where}: {' / '.join(entry.turns)[:80]!r}")
    if len(shared) > SHOWN:
        lines.append(f"    and {len(shared) - SHOWN} more")
    return "\n".join(lines)
