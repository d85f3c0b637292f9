"""Metrics of MT-Bench's form: scores by turn, category and judge run, and wins over another run."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import polars as pl

from montessori.evals.items import MT_BENCH
from montessori.evals.published.judgments import Judgment
from montessori.evals.published.mt_bench_scores import score_model
from montessori.evals.published.pairwise_wins import ERROR, TIE, overall_winner, win_loss_rates

WINNERS = {1.0: "win", 0.5: TIE, 0.0: "loss"}  # by the preference for the run's answer


def scores_by_item(rows: pl.DataFrame) -> pl.DataFrame:
    """The score of each item, in order: the mean over turns of the mean over verdicts.

    Columns item_id and score, which is null for an item without any verdict.
    """
    turns = single_grades(rows).group_by("item_id", "turn", maintain_order=True)
    by_turn = turns.agg(pl.col("score").mean())
    return by_turn.group_by("item_id", maintain_order=True).agg(pl.col("score").mean())


def single_grades(rows: pl.DataFrame) -> pl.DataFrame:
    """The verdicts that grade an answer by itself, without those that compare two."""
    return rows.filter(pl.col("against") == "")


def turn_metrics(name: str, rows: pl.DataFrame) -> dict[str, Any]:
    """The metrics of benchmark `name` from its verdicts, scores on 1-10; the headline is `name`.

    The headline is the mean over items, None where there is no score. The public benchmark also
    has FastChat's figures by turn, category and both, and the scores of several judge runs.
    """
    single = single_grades(rows)
    metrics = {
        # Sorted, so that the last digit of the mean does not depend on the order of the items.
        name: _mean_score(scores_by_item(rows).sort("score")),
        f"{name}_turns": _means_by(single, "turn"),
    }
    if name != MT_BENCH:
        figures = score_model(to_judgments(single), dict(enumerate(_item_families(single))))
        for key in ("score", "categories", "categories_by_turn", "judge_runs"):
            metrics[f"{name}_{key}"] = figures[key]
        metrics[f"{name}_graded"] = figures["n_graded"]
    compared = rows.filter(pl.col("against") != "")
    if not compared.is_empty():
        metrics[f"{name}_pairwise"] = pairwise_metrics(compared)
    return metrics


def to_judgments(single: pl.DataFrame) -> list[Judgment]:
    """Verdicts with a score as rows of a judgment file.

    Items are numbered from 0 in their order, and the number of the repeat stands for the time.
    """
    ids = single["item_id"].unique(maintain_order=True).to_list()
    numbers = {item: number for number, item in enumerate(ids)}
    judgments = []
    for line, row in enumerate(single.iter_rows(named=True), 1):
        if row["score"] is None:
            continue
        judgments.append(
            Judgment(
                line=line,
                question=numbers[row["item_id"]],
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
        )
    return judgments


def _item_families(single: pl.DataFrame) -> list[str]:
    """The category of each item, in the order in which `to_judgments` numbers them."""
    return single.unique("item_id", keep="first", maintain_order=True)["family"].to_list()


def pairwise_metrics(compared: pl.DataFrame) -> dict[str, Any]:
    """Wins over the other run: a win is one in both orders, as in FastChat's `show_result.py`.

    left_out: comparisons with an order that names no winner. inconsistent: among the others, those
    whose orders disagree.
    """
    grouped = compared.group_by("item_id", "turn", maintain_order=True).agg("preference")
    by_turn: dict[int, list[str]] = {}  # who won each comparison that counts
    inconsistent = 0
    for _, turn, preferences in grouped.iter_rows():
        winners = _winners_of_orders(preferences)
        winner = overall_winner(winners)
        if winner != ERROR:
            by_turn.setdefault(turn, []).append(winner)
            inconsistent += winners[0] != winners[1]
    counted = list(chain.from_iterable(by_turn.values()))
    return {
        **(win_loss_rates(counted) if counted else {}),
        "turns": {str(turn): win_loss_rates(by_turn[turn]) for turn in sorted(by_turn)},
        "inconsistent": inconsistent,
        "left_out": grouped.height - len(counted),
    }


def _winners_of_orders(preferences: Sequence[float | None]) -> tuple[str, str]:
    """Who won in the first and in the last order: "win", "loss", "tie", or "error"."""
    first, last = preferences[0], preferences[-1]
    return (
        ERROR if first is None else WINNERS[first],
        ERROR if last is None else WINNERS[last],
    )


def _mean_score(items: pl.DataFrame) -> float | None:
    value = items.select(pl.col("score").mean()).item()
    return None if value is None else float(value)


def _means_by(frame: pl.DataFrame, key: str) -> dict[str, float | None]:
    """The mean score by the values of a column, in their order."""
    means = frame.group_by(key, maintain_order=True).agg(pl.col("score").mean()).sort(key)
    return {str(name): mean for name, mean in means.iter_rows()}
