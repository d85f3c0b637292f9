"""The report's section on decontamination: where eval items were searched for and found."""

from collections.abc import Mapping
from typing import Any

from montessori.report.page import Markup, html_paragraph, html_table

EXPLANATION = (
    "Sources (seed pool, reference sets) must not contain an eval item: the seed stage stops if "
    "they do. Eval items that a teacher writes for a dataset are dropped there. Rows that students "
    "learn from or are scored on are then searched once more, whatever their source. Probe rows "
    "are not filtered: eval items among them have influenced the student's signal."
)


def decontamination_tables(section: Mapping[str, Any] | None) -> str:
    """Show the section `decontamination` of metrics/compare.json as a paragraph and a table."""
    if not section:
        return html_paragraph("Nothing to show: metrics/compare.json has no such section.", "soft")
    rows: list[list[object]] = []
    overlaps = section["sources"]["overlaps"]
    for name, number in section["sources"]["rows"].items():
        rows.append(["sources", name, f"{number:,}", overlaps, "an error"])
    for name, counts in section["written"].items():
        rows.append(["written", name, f"{counts['samples']:,}", counts["eval_items"], "dropped"])
    for kind in ("learned", "probed"):
        for name, counts in section[kind].items():
            rows.append([kind, name, f"{counts['rows']:,}", counts["eval_items"], "counted"])
    items = ", ".join(f"{number:,} {split}" for split, number in section["items"].items())
    head = ["what", "name", "rows", "eval items among them", "which are"]
    return Markup(
        html_paragraph(f"Eval items: {items}. {EXPLANATION}", "soft") + html_table(head, rows)
    )
