"""The one error type that people see: what is wrong, where, what was expected, what to type."""


class MontessoriError(Exception):
    """A problem that the person at the keyboard can solve.

    `what` names the problem, `where` the file, key or row, `expected` what would be right, and
    `next` the command or edit that leads on. `str()` gives one line for each that is set; only
    `what` may hold several lines (a list of problems that were found together).
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.next = next

    def __str__(self) -> str:
        parts = (("where", self.where), ("expected", self.expected), ("next", self.next))
        return "\n".join([self.what, *(f"{label}: {text}" for label, text in parts if text)])
