"""Reads which of two answers a judge chose, from its log-probabilities or from its text."""

import math
import re
from collections.abc import Sequence

from montessori.generate.engine import FirstTokens

FIRST, SECOND = "m", "M"  # the names of the answers in AlpacaEval's prompt, in the order shown
_NAMES = re.compile(r"(?<![A-Za-z'\u2019])[mM](?![A-Za-z])")


def choice_by_logprobs(first: FirstTokens) -> float | None:
    """Probability that the answer shown first is the better one: p(m) / (p(m) + p(M)).

    first: the judge's likeliest first tokens with their log-probabilities (nats). As in
    `alpaca_eval.completion_parsers.logprob_parser`, a name that is not listed has probability 0.
    None where neither name is listed with a probability above 0.
    """
    of_first, of_second = _logprobs_of(FIRST, first), _logprobs_of(SECOND, first)
    largest = max([*of_first, *of_second], default=-math.inf)
    if largest == -math.inf:
        return None
    # Relative to the largest, so that two tiny probabilities do not both underflow to 0.
    share_first, share_second = _sum_exp(of_first, largest), _sum_exp(of_second, largest)
    return share_first / (share_first + share_second)


def _logprobs_of(name: str, first: FirstTokens) -> list[float]:
    """Log-probabilities of a name; of its variants with white space only where it is not listed."""
    exact = [value for text, value in first if text == name]
    return exact or [value for text, value in first if text.strip() == name]


def _sum_exp(values: Sequence[float], largest: float) -> float:
    return sum(math.exp(value - largest) for value in values)


def choice_by_text(text: str) -> float | None:
    """1.0 where a text names the answer shown first, 0.0 for the second, None for none or both."""
    names = set(_NAMES.findall(text))
    return float(names == {FIRST}) if len(names) == 1 else None
