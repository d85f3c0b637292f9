"""The one error type that users see: what is wrong, where, what was expected, what to type."""

import logging
import re

#: Signs that change how the text around them is shown: controls of terminals (C0, C1), zero-width
#: and directional signs (Unicode's Bidi_Control), tags, and halves of characters, which cannot be
#: printed. New lines and tabs are none, joiners of emoji neither.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)

#: Signs of these that are part of writing, in rows of Arabic, Hebrew or Thai: marks of direction,
#: which turn no other text around, and places where a word may or may not break.
_WRITING = frozenset("\u061c\u200b\u200e\u200f\u2060")
LONGEST = 15_000  # characters of what is wrong; a tenth of it of each line behind


class MontessoriError(Exception):
    """A problem that the user can solve.

    `what` names the problem, `where` the file, key or row, `expected` what would be right, and
    `next` the command or edit that leads on. `str()` gives one line for each that is set; only
    `what` may have several lines, one for each problem of a list.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.next = next

    def __str__(self) -> str:
        lines = [shorten(self.what, LONGEST)]
        for label in ("where", "expected", "next"):
            if text := getattr(self, label):
                lines.append(f"{label}: {shorten(text, LONGEST // 10)}")
        return escape_controls("\n".join(lines))


def shorten(text: str, most: int) -> str:
    """A text without its middle, where that is a value of a file as long as the file."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [{len(text) - 2 * half:,} characters] {text[-half:]}"


class EscapingFormatter(logging.Formatter):
    """Lines of the log in which nothing steers the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return escape_controls(super().format(record))


def escape_controls(text: str) -> str:
    """Text of a server or a model as it may be shown: `\\x1b`, `\\u202e` for what steers a terminal
    or turns the direction of writing around."""
    return _STEERING.sub(lambda sign: ascii(sign[0])[1:-1], text)


def escape_row(text: str) -> str:
    """Text as a page shows it: as `escape_controls`, but signs that are part of writing stay."""
    return _STEERING.sub(
        lambda sign: sign[0] if sign[0] in _WRITING else escape_controls(sign[0]), text
    )
