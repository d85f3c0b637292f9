"""The form in which texts are compared for equality; the texts themselves stay as written."""

import re
import string
from collections.abc import Sequence

_SPACE = re.compile(r"\s+")


def normalise_text(text: str) -> str:
    """Lower case, one blank for any white space, no punctuation at the ends."""
    return _SPACE.sub(" ", text.lower()).strip(string.punctuation + " ")


def fingerprint(turns: Sequence[str]) -> str:
    """The user turns of a row in the form by which duplicates and eval items are recognised."""
    # A normalised turn has no line break, so the break between turns is unambiguous.
    return "\n".join(normalise_text(turn) for turn in turns)
