"""How well a judge model worked: unreadable verdicts, odd answers, bias of the order, costs."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from montessori.evals.lab_benchmarks.pair_metrics import position_bias

SHOWN = 5  # verdicts without a reading that are listed
CUT = 200  # characters shown of each


def summarize_judging(rows: pl.DataFrame) -> dict[str, Any]:
    """Counts of one benchmark's verdicts: how they were read, problems, answers, tokens, money.

    Tokens and usd are the costs of the verdicts, each counted once, whichever run paid for them.
    """
    problems = rows.filter(pl.col("problem") != "")
    answers = rows.unique(["item_id", "turn"])
    paid = rows.filter(pl.col("key") != "").unique("key")
    summary: dict[str, Any] = {
        "verdicts": rows.height,
        "methods": count_values(rows["method"]),
        "problems": count_values(problems["problem"]),
        "problems_shown": [_show_verdict(row) for row in problems.head(SHOWN).to_dicts()],
        "answers": count_values(answers.filter(pl.col("note") != "")["note"]),
        "prompt_tokens": int(paid["prompt_tokens"].sum()),
        "completion_tokens": int(paid["completion_tokens"].sum()),
        "usd": float(paid["usd"].sum()),
    }
    compared = rows.filter(pl.col("against") != "")
    return summary if compared.is_empty() else summary | position_bias(compared)


def count_values(values: pl.Series) -> Mapping[str, int]:
    """How often each value occurs, by value."""
    return {str(name): int((values == name).sum()) for name in values.unique().sort()}


def _show_verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    raw = row["raw"] or ""
    return {
        "item_id": row["item_id"],
        "turn": row["turn"],
        "problem": row["problem"],
        "raw": raw[:CUT] + ("..." if len(raw) > CUT else ""),
    }
