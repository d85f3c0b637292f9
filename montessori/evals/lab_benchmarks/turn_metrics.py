"""Metrics of MT-Bench's form: scores by turn, category and judge run, and wins over another run."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from montessori.evals.items import MT_BENCH
from montessori.evals.published.judgments import Judgment
from montessori.evals.published.mt_bench_scores import score_model
from montessori.evals.published.pairwise_wins import ERROR, TIE, overall_winner, win_loss_rates


def scores_by_item(rows: pl.DataFrame) -> pl.DataFrame:
    """item_id and score (mean over turns of the mean over verdicts, null without any), in order."""
    turns = (
        single_grades(rows)
        .group_by("item_id", "turn", maintain_order=True)
        .agg(pl.col("score").mean())
    )
    return turns.group_by("item_id", maintain_order=True).agg(pl.col("score").mean())


def single_grades(rows: pl.DataFrame) -> pl.DataFrame:
    """The verdicts on single answers; those of comparisons are left out."""
    return rows.filter(pl.col("against") == "")


def turn_metrics(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    """The metrics of benchmark `name` from its verdicts, scores 1-10; the headline is `name`.

    The headline is the mean over items, None where there is no score. Of the public benchmark also
    what FastChat shows, by turn, category and both, and what several judge runs say.
    """
    single = single_grades(rows)
    found = {
        name: _mean_score(scores_by_item(rows).sort("score")),
        f"{name}_turns": _means_by(single, "turn"),
    }
    if name != MT_BENCH:
        figures = score_model(to_judgments(single), dict(enumerate(_item_families(single))))
        for key in ("score", "categories", "categories_by_turn", "judge_runs"):
            found[f"{name}_{key}"] = figures[key]
        found[f"{name}_graded"] = figures["n_graded"]
    compared = rows.filter(pl.col("against") != "")
    if not compared.is_empty():
        found[f"{name}_pairwise"] = pairwise_metrics(compared)
    return found


def to_judgments(single: pl.DataFrame) -> list[Judgment]:
    """Verdicts as rows of a judgment file; items are counted from 0, repeats are their time."""
    ids = single["item_id"].unique(maintain_order=True).to_list()
    place = {item: number for number, item in enumerate(ids)}
    return [
        Judgment(
            line=line,
            question=place[row["item_id"]],
            model="",
            turn=row["turn"],
            judge=row["judge"],
            time=float(row["repeat"] or 0),
            score=row["score"],
            why=row["problem"] or "",
            stored=row["score"],
            parsed=row["score"],
            source=str(line),
        )
        for line, row in enumerate(single.iter_rows(named=True), 1)
        if row["score"] is not None
    ]


def _item_families(single: pl.DataFrame) -> list[str]:
    """The category of each item, in the order of `to_judgments`."""
    return single.unique("item_id", keep="first", maintain_order=True)["family"].to_list()


def pairwise_metrics(compared: pl.DataFrame) -> dict[str, Any]:
    """Wins over the other run: a win is one in both orders, as in FastChat's `show_result.py`.

    left_out: comparisons with an order that names no winner. inconsistent: of the others, those in
    which the orders disagree.
    """
    winners = compared.group_by("item_id", "turn", maintain_order=True).agg(
        pl.col("preference").alias("preferences")
    )
    orders = [
        (row["turn"], _winners_of_orders(row["preferences"]))
        for row in winners.iter_rows(named=True)
    ]
    counted = [(turn, pair) for turn, pair in orders if overall_winner(pair) != ERROR]
    turns = sorted({turn for turn, _ in counted})
    return {
        **(_pair_rates([pair for _, pair in counted]) if counted else {}),
        "turns": {str(turn): _pair_rates([p for at, p in counted if at == turn]) for turn in turns},
        "inconsistent": sum(pair[0] != pair[1] for _, pair in counted),
        "left_out": len(orders) - len(counted),
    }


def _winners_of_orders(preferences: Sequence[float | None]) -> tuple[str, str]:
    """Who won in each order: "win", "loss", "tie", or "error" without a verdict."""
    names = {1.0: "win", 0.0: "loss", 0.5: TIE}
    said = [ERROR if value is None else names[value] for value in preferences]
    return said[0], said[-1]


def _pair_rates(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return win_loss_rates([overall_winner(pair) for pair in pairs])


def _mean_score(items: pl.DataFrame) -> float | None:
    value = items.select(pl.col("score").mean()).item()
    return None if value is None else float(value)


def _means_by(frame: pl.DataFrame, key: str) -> dict[str, float | None]:
    means = frame.group_by(key, maintain_order=True).agg(pl.col("score").mean()).sort(key)
    return {str(name): mean for name, mean in means.iter_rows()}
