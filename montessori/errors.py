"""The one error type that users see: what is wrong, where, what was expected, what to type."""


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
        lines = [self.what]
        for label in ("where", "expected", "next"):
            if text := getattr(self, label):
                lines.append(f"{label}: {text}")
        return "\n".join(lines)
