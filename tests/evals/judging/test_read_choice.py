"""How a judge's choice is read from its log-probabilities or its text.

What would break: verdicts are read differently from the alpaca_eval package, so win rates cannot be
compared with published ones.
"""

import math

import pytest

from montessori.evals.judging.read_choice import choice_by_logprobs, choice_by_text


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([("m", 0.3), ("M", 0.1)], 0.75),
        ([("M", 0.5), ("The", 0.4)], 0.0),
        ([("m", 0.001)], 1.0),
        ([(" m", 0.2), ("\tm", 0.2), (" M", 0.1)], 0.8),
        ([("m", 0.3), (" m", 0.3), ("M", 0.1)], 0.75),  # exact names count alone
        ([("Model", 0.9)], None),
        ([], None),
    ],
)
def test_shares_of_the_two_names(first, expected):
    found = choice_by_logprobs(tuple((text, math.log(p)) for text, p in first))
    assert found == (None if expected is None else pytest.approx(expected))


def test_impossible_names_are_no_choice():
    assert choice_by_logprobs((("m", -math.inf), ("M", -math.inf))) is None
    assert choice_by_logprobs((("m", -math.inf), ("M", -2000.0))) == 0.0


def test_it_is_the_parser_of_the_alpaca_eval_package():
    parsers = pytest.importorskip("alpaca_eval.completion_parsers")
    for values in ([("m", -0.3), ("M", -1.7), ("x", -9.0)], [("M", -0.1)], [("m", -4.0)]):
        top = [{"token": token, "logprob": value} for token, value in values]
        completion = {"logprobs": {"content": [{"top_logprobs": top}]}}
        (theirs,) = parsers.logprob_parser(
            completion, "m", ["m", "M"], is_binarize=False, log_prob_index=0
        )
        assert 2 - choice_by_logprobs(tuple(values)) == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m", 1.0),
        (" M.\n", 0.0),
        ('"m"', 1.0),
        ("Model M is better.", 0.0),
        ("I'm sure: M", 0.0),
        ("m or M", None),
        ("Maybe", None),
        ("", None),
    ],
)
def test_names_in_a_text(text, expected):
    assert choice_by_text(text) == expected
