"""Wins of MT-Bench's pairwise comparisons, in which each pair is judged in both orders.

As in FastChat's `show_result.py`: a model wins where it wins in both orders; where the orders
disagree, or say so, it is a tie; a comparison with an order that names no winner is left out.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from montessori.errors import MontessoriError
from montessori.evals.published.judgments import Match

TIE, ERROR = "tie", "error"


def overall_winner(winners: tuple[str, str]) -> str:
    """The model that won in both orders, else "tie"; "error" where an order has no winner."""
    if ERROR in winners:
        return ERROR
    return winners[0] if winners[0] == winners[1] else TIE


def score_matches(
    matches: Sequence[Match],
    categories: Mapping[int, str],
    baseline: str | None = None,
    source: str = "",
) -> dict[str, Any]:
    """All figures as JSON: wins by model, turn and category, and what was counted and left out.

    baseline: only the comparisons with this model, which itself is not listed. source: the file
    that the rows come from, for messages.
    Raises MontessoriError: the baseline is in no comparison, or no comparison has a winner.
    """
    chosen = [row for row in matches if baseline in (None, row.model_1, row.model_2)]
    counted = [row for row in chosen if overall_winner(row.winners) != ERROR]
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
        "models": _by_model(counted, categories, baseline),
        "n_rows": len(matches),
        "n_counted": len(counted),
        "n_without_baseline": len(matches) - len(chosen),
        "left_out": {"error": len(chosen) - len(counted)},
        "n_inconsistent": sum(_is_inconsistent(row) for row in counted),
        "n_disagreements": sum(_text_disagrees(row) for row in chosen),
        "judges": dict(Counter(row.judge for row in matches)),
    }


def _by_model(
    matches: Sequence[Match], categories: Mapping[int, str], baseline: str | None
) -> dict[str, Any]:
    found: dict[str, dict[str, dict[str, list[str]]]] = defaultdict(lambda: defaultdict(dict))
    for row in matches:
        for model, other in ((row.model_1, row.model_2), (row.model_2, row.model_1)):
            won = {model: "win", other: "loss"}.get(overall_winner(row.winners), "tie")
            places = (("all", ""), ("turns", str(row.turn)),
                      ("categories", categories.get(row.question, "other")))  # fmt: skip
            for kind, name in places:
                found[model][kind].setdefault(name, []).append(won)
    return {
        model: {
            **win_loss_rates(kinds["all"][""]),
            "turns": {name: win_loss_rates(won) for name, won in sorted(kinds["turns"].items())},
            "categories": {
                name: win_loss_rates(won) for name, won in sorted(kinds["categories"].items())
            },
        }
        for model, kinds in sorted(found.items())
        if model != baseline
    }


def win_loss_rates(won: Sequence[str]) -> dict[str, Any]:
    """Counts of "win", "loss" and "tie", and rates on 0-100; the adjusted one counts ties half."""
    counts = Counter(won)
    share = 100.0 / len(won)
    return {
        "n_wins": counts["win"],
        "n_losses": counts["loss"],
        "n_ties": counts["tie"],
        "win_rate": share * counts["win"],
        "loss_rate": share * counts["loss"],
        "win_rate_adjusted": share * (counts["win"] + counts["tie"] / 2),
    }


def _is_inconsistent(row: Match) -> bool:
    """Whether the order of the answers decided: the two orders differ."""
    return row.winners[0] != row.winners[1]


def _text_disagrees(row: Match) -> bool:
    pairs = zip(row.winners, row.parsed, strict=True)
    return any(said is not None and said != stored for stored, said in pairs)
