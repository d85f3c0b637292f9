"""The audit of influence scores, and their summary.

What would break: an estimate that ranks rows wrongly passes its audit.
"""

import math

import pytest

from montessori.errors import MontessoriError
from montessori.signals.influence.audit import compare_estimates, require_faithful, spread_by_rank
from montessori.signals.influence.summary import make_histogram, summarise_scores


def test_spread_covers_the_range_of_scores():
    scores = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert spread_by_rank(scores, 3) == [1, 4, 0]
    assert spread_by_rank(scores, 99) == [1, 3, 4, 2, 0]
    assert spread_by_rank([1.0], 8) == [0]


def test_compare_by_hand():
    audit = compare_estimates([1.0, 2.0, -3.0, 4.0], [1.0, 3.0, 1.0, 2.0])
    assert audit.sign_agreement == 0.75
    assert audit.probes == 4
    assert audit.max_deviation == pytest.approx(4 / math.sqrt(0.6875))
    assert compare_estimates([1.0, 2.0, 3.0], [10.0, 40.0, 900.0]).spearman == pytest.approx(1.0)


@pytest.mark.parametrize("exact", [[3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
def test_a_low_or_undefined_correlation_stops(exact):
    with pytest.raises(MontessoriError, match="fails its audit") as error:
        require_faithful(compare_estimates([1.0, 2.0, 3.0], exact), 0.9)
    assert "divide influence.learning_rate" in error.value.next


def test_summary_splits_variance_between_and_within_skills():
    facts = summarise_scores([1.0, 3.0, -1.0, -3.0], ["a", "a", "b", None])
    assert facts["share_positive"] == 0.5
    assert facts["mean"] == 0.0
    assert facts["skills"]["a"] == {"mean": 2.0, "rows": 2}
    assert "other" in facts["skills"]
    assert facts["variance_between_skills"] == pytest.approx(18 / 20)
    assert facts["variance_within_skills"] == pytest.approx(2 / 20)
    assert "skills" not in summarise_scores([1.0, 2.0], [None, None])


@pytest.mark.parametrize("scores", [[-1.0, 0.5, 3.0], [0.2, 0.4], [-2.0, -1.0], [0.0, 0.0]])
def test_histogram_counts_every_row_on_its_side_of_zero(scores):
    bars = make_histogram(scores, bins=8)
    assert sum(rows for _, rows, _ in bars) == len(scores)
    worse = sum(rows for _, rows, sign in bars if sign == "worse")
    assert worse == sum(score < 0 for score in scores)
    assert all((middle < 0) == (sign == "worse") for middle, _, sign in bars)
