"""Decontamination in the report: where eval items were looked for, and how many were found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from montessori.report.page import Markup, paragraph, table

EXPLANATION = (
    "Sources (seed pool, reference sets) may share nothing with an eval item: the seed stage stops "
    "otherwise. Eval items that a teacher writes for a dataset are dropped there. Rows that "
    "students learn or are scored on are then searched once more, whatever their source. "
    "Probing rows are not filtered: what is found among them was seen by the student's signal."
)


def decontamination(section: Mapping[str, Any] | None) -> str:
    """The section `decontamination` of metrics/compare.json as two tables."""
    if not section:
        return paragraph("Nothing to show: metrics/compare.json has no such section.", "soft")
    rows: list[list[object]] = [
        ["sources", name, f"{number:,}", section["sources"]["overlaps"], "an error"]
        for name, number in section["sources"]["rows"].items()
    ]
    rows += [
        ["written", name, f"{found['samples']:,}", found["eval_items"], "dropped"]
        for name, found in section["written"].items()
    ]
    for kind in ("learned", "probed"):
        rows += [
            [kind, name, f"{found['rows']:,}", found["eval_items"], "counted"]
            for name, found in section[kind].items()
        ]
    items = ", ".join(f"{number:,} {split}" for split, number in section["items"].items())
    head = ["what", "name", "rows", "eval items among them", "which are"]
    return Markup(paragraph(f"Eval items: {items}. {EXPLANATION}", "soft") + table(head, rows))
