"""Tables as Markdown."""

from collections.abc import Collection, Sequence


def markdown_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Collection[int] = (0,)
) -> str:
    """Lay out a Markdown table.

    text_columns: positions of the columns that are aligned left; numbers are aligned right.
    """
    alignments = ["---" if column in text_columns else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, alignments, *rows])
