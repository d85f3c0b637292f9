"""Win rates, length control and position bias of a table of verdicts, by hand.

What would break: items that were judged in one order only count like items judged in both, or a
judge's bias stays hidden.
"""

import polars as pl
import pytest

from montessori.artifacts.schemas import VERDICTS
from montessori.evals.lab_benchmarks.pair_metrics import (
    length_differences,
    pair_metrics,
    position_bias,
    preferences_by_item,
)
from montessori.evals.lab_benchmarks.turn_metrics import pairwise_metrics


def table(*rows):
    """Verdicts of (item, swapped, preference), answers of 10 + item and 10 characters."""
    base = dict.fromkeys(VERDICTS) | {"turn": 1, "method": "text", "against": "run", "note": ""}
    return pl.DataFrame(
        [
            base
            | {
                "item_id": f"i{item}",
                "benchmark": "alpaca_eval",
                "swapped": swapped,
                "preference": preference,
                "length": 10 + item,
                "against_length": 10,
            }
            for item, swapped, preference in rows
        ],
        schema=VERDICTS,
    )


def test_an_item_counts_where_all_its_orders_do():
    rows = table((1, False, 1.0), (1, True, 0.5), (2, False, 1.0), (2, True, None), (3, True, 0.25))
    items = preferences_by_item(rows)
    assert items["item_id"].to_list() == ["i1", "i2", "i3"]
    assert items["preference"].to_list() == [0.75, None, 0.25]
    assert length_differences(items).to_list() == [1.0, 2.0, 3.0]


def test_win_rates_by_hand():
    """Preferences 1, 0.5, 0.2 and one without: mean 56.67, sd 0.404, error sd / sqrt(3)."""
    found = pair_metrics(
        "alpaca_eval", table((1, False, 1.0), (2, True, 0.5), (3, True, 0.2), (4, False, None))
    )
    assert found["alpaca_eval_win_rate"] == pytest.approx(100 * 1.7 / 3)
    assert found["alpaca_eval_standard_error"] == pytest.approx(100 * 0.40415 / 3**0.5, abs=0.01)
    assert found["alpaca_eval_discrete_win_rate"] == 50.0
    assert (found["alpaca_eval_n_total"], found["alpaca_eval_n_draws"]) == (3, 1)
    assert found["alpaca_eval_length_controlled_method"] == "none"  # too few for the folds
    assert found["alpaca_eval"] == found["alpaca_eval_win_rate"]


def test_a_judge_of_lengths_is_brought_near_fifty():
    """The longer answer wins: the plain rate is 75, at equal length nothing is left."""
    rows = [(n, False, 1.0) for n in range(1, 31)] + [(-n, False, 0.0) for n in range(1, 11)]
    found = pair_metrics("alpaca_eval", table(*rows))
    assert found["alpaca_eval_win_rate"] == 75.0
    assert 40 < found["alpaca_eval"] < 62
    assert found["alpaca_eval_length_controlled_method"] == "fit-minimal"


def test_nothing_usable_is_no_number():
    assert pair_metrics("alpaca_eval", table((1, False, None))) == {
        "alpaca_eval": None,
        "alpaca_eval_win_rate": None,
        "alpaca_eval_standard_error": None,
    }
    assert position_bias(table((1, False, None)))["swapped"] is None


def test_position_bias_by_hand():
    """Shown first wins thrice of four: ours once of one, the other's twice of three."""
    rows = table((1, False, 0.9), (2, True, 0.1), (3, True, 0.2), (4, True, 0.8), (5, False, None))
    found = position_bias(rows)
    assert found["swapped"] == 75.0
    assert found["win_rate_shown_first"] == pytest.approx(90.0)
    assert found["win_rate_shown_second"] == pytest.approx(100 * 1.1 / 3)
    assert found["first_preferred"] == 75.0


def test_wins_in_both_orders_by_hand():
    rows = table(
        (1, False, 1.0),
        (1, True, 1.0),
        (2, False, 1.0),
        (2, True, 0.0),
        (3, False, 0.0),
        (3, True, 0.0),
        (4, False, 0.5),
        (4, True, None),
    )
    found = pairwise_metrics(rows)
    assert (found["n_wins"], found["n_losses"], found["n_ties"]) == (1, 1, 1)
    assert (found["inconsistent"], found["left_out"]) == (1, 1)
    assert found["win_rate_adjusted"] == pytest.approx(50.0)
    assert set(found["turns"]) == {"1"}
