"""What a judge said, read: a choice between m and M, a rating, a winner."""

import math
import re
from collections.abc import Mapping

from montessori.generate.engine import FirstTokens

FIRST, SECOND = "m", "M"  # the names of the answers in AlpacaEval's prompt, in the order shown
_NAMES = re.compile(r"(?<![A-Za-z'\u2019])[mM](?![A-Za-z])")


def choice_by_logprobs(first: FirstTokens) -> float | None:
    """Probability that the answer shown first is the better one: p(m) / (p(m) + p(M)).

    As `alpaca_eval.completion_parsers.logprob_parser`: a name that is not listed has probability 0.
    Where neither is, names with white space around them count. None where there is none at all.
    """
    listed: Mapping[str, list[float]] = {
        name: [value for text, value in first if text == name]
        or [value for text, value in first if text.strip() == name]
        for name in (FIRST, SECOND)
    }
    if not any(value > -math.inf for values in listed.values() for value in values):
        return None
    largest = max(value for values in listed.values() for value in values)
    shares = {name: sum(math.exp(v - largest) for v in found) for name, found in listed.items()}
    return shares[FIRST] / (shares[FIRST] + shares[SECOND])


def choice_by_text(text: str) -> float | None:
    """1.0 where a text names the answer shown first, 0.0 for the second, None for none or both."""
    names = set(_NAMES.findall(text))
    return float(names == {FIRST}) if len(names) == 1 else None
