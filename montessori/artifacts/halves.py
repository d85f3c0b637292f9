"""Halves of surrogate pairs: valid in JSON ("\\ud83d"), but no text that UTF-8 can hold.

They come from texts that were cut in the middle of an emoji.
"""

import re

MARK = "\ufffd"  # U+FFFD, which stands for what is no character
_SURROGATE = re.compile("[\ud800-\udfff]")


def mend_text(text: str) -> tuple[str, int]:
    """A text with U+FFFD in place of each half of a pair, and how many halves there were.

    Two halves that belong together become their character.
    """
    if not _SURROGATE.search(text):
        return text, 0
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _SURROGATE.subn(MARK, joined)
