"""Preference pairs within a prompt by plain loops over rows."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]  # row_id, prompt_id, raw, score, neutral (or None)


def neutral_score(row: Row, prompt: Sequence[Row], neutral: str) -> float:
    """The score that parts chosen from rejected rows of a prompt."""
    scores = [other["score"] for other in prompt]
    if neutral == "prompt-mean":
        equal = min(scores) == max(scores)
        return scores[0] if equal else sum(scores) / len(scores)
    if neutral == "scores" and row["neutral"] is not None:
        return row["neutral"]
    return statistics.median(scores)


def make_pairs(
    rows: Sequence[Row], rule: str, neutral: str, margin: float, max_per_prompt: int
) -> list[tuple[str, str]]:
    """(chosen row, rejected row) of every pair, in order.

    `rows` are in the order of the probe. Of a prompt the widest pairs come first, of equally wide
    ones those whose rows come earlier.
    """
    deviation = statistics.pstdev([row["score"] for row in rows])
    prompts = list(dict.fromkeys(row["prompt_id"] for row in rows))
    found = []
    for prompt_id in prompts:
        prompt = [row for row in rows if row["prompt_id"] == prompt_id]
        above = [row for row in prompt if row["score"] > neutral_score(row, prompt, neutral)]
        below = [row for row in prompt if row["score"] < neutral_score(row, prompt, neutral)]
        pairs = [
            (chosen, rejected)
            for chosen in above
            for rejected in below
            if chosen["raw"] != rejected["raw"]
            and chosen["score"] - rejected["score"] >= margin * deviation
        ]
        pairs.sort(key=lambda pair: pair[1]["score"] - pair[0]["score"])  # stable
        most = 1 if rule == "best-worst" else max_per_prompt
        found += pairs[:most] if most else pairs
    return [(chosen["row_id"], rejected["row_id"]) for chosen, rejected in found]
