"""Numbers and tables as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def signed(value: float | None) -> str:
    """A number with its sign and one digit, the minus a true one; nearly nothing is +0.0."""
    return f"{value or 0.0:+z.1f}".replace("-", "\u2212")


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the others right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
