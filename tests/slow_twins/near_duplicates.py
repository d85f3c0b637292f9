"""Near-duplicates by comparing each text with every earlier one: ROUGE-L by its textbook table."""

import re
from collections.abc import Sequence


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Words of the longest common subsequence, by the table of all prefixes."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, left in enumerate(first, start=1):
        for j, right in enumerate(second, start=1):
            if left == right:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


def rouge_l(first: str, second: str) -> float:
    """The F-measure of ROUGE-L (Lin 2004), with the operations of the package rouge_score."""
    left, right = (re.findall("[a-z0-9]+", text.lower()) for text in (first, second))
    common = longest_common_subsequence(left, right)
    if common == 0:
        return 0.0
    precision, recall = common / len(left), common / len(right)
    return 2 * precision * recall / (precision + recall)


def decide(texts: Sequence[str], limit: float) -> list[bool]:
    """For each text whether it is above `limit` against any text kept before it.

    Only texts that are no near-duplicates are kept.
    """
    kept: list[str] = []
    decisions = []
    for text in texts:
        near = any(rouge_l(text, other) > limit for other in kept)
        decisions.append(near)
        if not near:
            kept.append(text)
    return decisions
