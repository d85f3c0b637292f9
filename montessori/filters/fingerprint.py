"""The form in which texts are compared for equality; the texts themselves stay as written."""

import re
import string
from collections.abc import Sequence

from montessori.filters.words import LOOSE_BLANK, compile_pattern, fold_text

_SPACE = re.compile(r"\s+")
#: Punctuation by Unicode, and the signs that ASCII counts as punctuation; emoji are neither.
_ENDS = r"^[\p{P}$+<=>^`|~ ]+|[\p{P}$+<=>^`|~ ]+$"


def normalise_text(text: str) -> str:
    """Folded, one blank for any white space, no punctuation at the ends.

    White space beside a character of a script without blanks between words counts as none.
    """
    folded = fold_text(text)
    if folded.isascii():
        return _SPACE.sub(" ", folded).strip(string.punctuation + " ")
    folded = compile_pattern(LOOSE_BLANK).sub("", folded)
    stripped: str = compile_pattern(_ENDS).sub("", _SPACE.sub(" ", folded))
    return stripped


def fingerprint(turns: Sequence[str]) -> str:
    """The user turns of a row in the form by which duplicates and eval items are recognised."""
    # A normalised turn has no line break, so the break between turns is unambiguous.
    return "\n".join(normalise_text(turn) for turn in turns)
