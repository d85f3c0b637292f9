"""Wins of MT-Bench's pairwise comparisons, in which each pair of answers is judged in both orders.

As in FastChat's `show_result.py`: a model wins where it wins in both orders. Where the orders
disagree, or both say so, it is a tie. A comparison with an order that names no winner does not
count.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from montessori.errors import MontessoriError
from montessori.evals.published.judgments import Match

TIE, ERROR = "tie", "error"


def overall_winner(winners: tuple[str, str]) -> str:
    """The model that won in both orders, otherwise "tie"; "error" where an order has no winner."""
    if ERROR in winners:
        return ERROR
    return winners[0] if winners[0] == winners[1] else TIE


def score_matches(
    matches: Sequence[Match],
    categories: Mapping[int, str],
    baseline: str | None = None,
    source: str = "",
) -> dict[str, Any]:
    """All figures as JSON: wins by model, turn and category, and how many comparisons count.

    baseline: only the comparisons with this model, which itself is not listed. source: the file
    that the rows come from, for messages.
    Raises MontessoriError: the baseline is in no comparison, or no comparison has a winner.
    """
    chosen = [row for row in matches if baseline in (None, row.model_1, row.model_2)]
    whys = [row.why or ("" if overall_winner(row.winners) != ERROR else ERROR) for row in chosen]
    counted = [row for row, why in zip(chosen, whys, strict=True) if not why]
    if not counted:
        raise MontessoriError(
            f"none of {len(matches)} comparisons counts",
            where=source,
            expected="winners in both orders" + (f", and {baseline}" if baseline else ""),
            next="fix --baseline, or judge the answers again",
        )
    return {
        "kind": "pairwise",
        "baseline": baseline,
        "models": _score_models(counted, categories, baseline),
        "n_rows": len(matches),
        "n_counted": len(counted),
        "n_without_baseline": len(matches) - len(chosen),
        "left_out": {ERROR: whys.count(ERROR), **Counter(why for why in whys if why)},
        "n_inconsistent": sum(row.winners[0] != row.winners[1] for row in counted),
        "n_disagreements": sum(_text_disagrees(row) for row in chosen),
        "judges": dict(Counter(map(attrgetter("judge"), matches))),
    }


def _score_models(
    matches: Sequence[Match], categories: Mapping[int, str], baseline: str | None
) -> dict[str, Any]:
    """Win and loss rates of each model but the baseline: overall, by turn and by category."""
    # A comparison is a result of both models: what one wins, the other loses.
    results: dict[str, list[tuple[Match, str]]] = {}
    for row in matches:
        winner = overall_winner(row.winners)
        for model, other in ((row.model_1, row.model_2), (row.model_2, row.model_1)):
            result = {model: "win", other: "loss"}.get(winner, "tie")
            results.setdefault(model, []).append((row, result))
    models = {}
    for model, of_model in sorted(results.items()):
        if model == baseline:
            continue
        by_turn: dict[str, list[str]] = {}
        by_category: dict[str, list[str]] = {}
        for row, result in of_model:
            by_turn.setdefault(str(row.turn), []).append(result)
            by_category.setdefault(categories.get(row.question, "other"), []).append(result)
        models[model] = {
            **win_loss_rates([result for _, result in of_model]),
            "turns": _rates_by(by_turn),
            "categories": _rates_by(by_category),
        }
    return models


def _rates_by(results: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {name: win_loss_rates(results[name]) for name in sorted(results)}


def win_loss_rates(results: Sequence[str]) -> dict[str, Any]:
    """Counts of "win", "loss" and "tie", and rates on 0-100; the adjusted one counts ties half."""
    counts = Counter(results)
    share = 100.0 / len(results)
    return {
        "n_wins": counts["win"],
        "n_losses": counts["loss"],
        "n_ties": counts["tie"],
        "win_rate": share * counts["win"],
        "loss_rate": share * counts["loss"],
        "win_rate_adjusted": share * (counts["win"] + counts["tie"] / 2),
    }


def _text_disagrees(row: Match) -> bool:
    """Whether the text of an order names another winner than the row."""
    orders = zip(row.winners, row.parsed, strict=True)
    return any(parsed is not None and parsed != stored for stored, parsed in orders)
