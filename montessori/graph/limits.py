"""Limits of settings, as part of their types: `rows: Annotated[int, AtLeast(1), "rows"]`.

`graph/load.py` checks them; a plain text in a type is the unit of the setting. pydantic would do
the same, but importing it makes a stage start 0.17 s later (0.44 to 0.61 s of CPU time, least of 20
alternating starts), and 0.1 s is what a stage may lose; this module and its checks cost 0.01 s.
"""

import re
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

_INTERVAL = re.compile(r"([(\[])(\S+), (\S+)([)\]])")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOME = re.compile(r"~[\w-]*(/|$)")  # ~/data and ~name/data, but not the file ~notes.txt
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


#: No number of a setting is further from 0: a budget of a year's tokens is not, and 10**30 rows
#: are a slip.
LARGEST = 10**12
#: The least and greatest seed: what a signed number of 64 bits holds.
LARGEST_SEED = 2**63 - 1


@runtime_checkable
class Limit(Protocol):
    """What a value must satisfy beyond its type."""

    def find_problem(self, value: Any) -> str | None:
        """What is wrong with the value, to be read after its key; None if nothing is."""


@dataclass(frozen=True)
class AtLeast:
    """A number from `least` up."""

    least: float

    def find_problem(self, value: float) -> str | None:
        """The number and the least one."""
        return None if value >= self.least else f"{value!r} is below {self.least:g}"

    def __str__(self) -> str:
        return f">= {self.least:g}"


@dataclass(frozen=True)
class AtMost:
    """A number up to `most`."""

    most: float

    def find_problem(self, value: float) -> str | None:
        """The number and the greatest one."""
        return None if value <= self.most else f"{value!r} is above {self.most:,}"

    def __str__(self) -> str:
        return f"<= {self.most:g}"


@dataclass(frozen=True)
class Above:
    """A number above `bound`."""

    bound: float

    def find_problem(self, value: float) -> str | None:
        """The number and the bound."""
        return None if value > self.bound else f"{value!r} is not above {self.bound:g}"

    def __str__(self) -> str:
        return f"> {self.bound:g}"


@dataclass(frozen=True)
class ZeroOr:
    """0, which switches something off, or a number from `least` up."""

    least: float

    def find_problem(self, value: float) -> str | None:
        """The number and what is offered."""
        if value == 0 or value >= self.least:
            return None
        return f"{value!r} is neither 0 nor at least {self.least:g}"

    def __str__(self) -> str:
        return f"0 or >= {self.least:g}"


@dataclass(frozen=True)
class Within:
    """A number in an interval such as `(0, 1]`; a round bracket leaves its end out."""

    interval: str

    def find_problem(self, value: float) -> str | None:
        """The number and the interval."""
        parts = _INTERVAL.fullmatch(self.interval)
        if parts is None:
            raise ValueError(f"{self.interval!r} is not an interval such as (0, 1]")
        low, high = float(parts[2]), float(parts[3])
        above = value > low if parts[1] == "(" else value >= low
        below = value < high if parts[4] == ")" else value <= high
        return None if above and below else f"{value!r} is not in {self.interval}"

    def __str__(self) -> str:
        return f"in {self.interval}"


@dataclass(frozen=True)
class Filled:
    """A text, list or mapping that is not empty."""

    def find_problem(self, value: Sized) -> str | None:
        """That it is empty."""
        return None if len(value) else f"{value!r} is empty"

    def __str__(self) -> str:
        return "not empty"


@dataclass(frozen=True)
class NotBlank:
    """A text with more than white space."""

    def find_problem(self, value: str) -> str | None:
        """That it has none."""
        return None if value.strip() else f"{value!r} is blank"

    def __str__(self) -> str:
        return "not blank"


@dataclass(frozen=True)
class Distinct:
    """A list that names nothing twice."""

    def find_problem(self, value: tuple[Any, ...]) -> str | None:
        """The list, if something is in it twice."""
        return None if len(set(value)) == len(value) else f"{list(value)!r} names something twice"

    def __str__(self) -> str:
        return "each once"


@dataclass(frozen=True)
class Holding:
    """A text that holds another."""

    part: str

    def find_problem(self, value: str) -> str | None:
        """The text and what it lacks."""
        return None if self.part in value else f"{value!r} does not hold {self.part}"

    def __str__(self) -> str:
        return f"with {self.part}"


@dataclass(frozen=True)
class Commit:
    """A full commit, which cannot move: 40 hexadecimal digits."""

    def find_problem(self, value: str) -> str | None:
        """The text and the form."""
        if _COMMIT.fullmatch(value):
            return None
        return (
            f"{value!r} is not a commit of 40 hex digits; a branch or a tag may move, and a short "
            "commit may become ambiguous (git ls-remote with the address of the repository at the "
            "hub lists the commits of its branches and tags)"
        )

    def __str__(self) -> str:
        return "40 hex digits"


@dataclass(frozen=True)
class PathTo:
    """The path of a file, of a folder or of either, which dvc.yaml puts between single quotes.

    `montessori check` looks whether it is there.
    """

    what: Literal["file", "folder", "file or folder"]

    def find_problem(self, value: str) -> str | None:
        """Why the shell, DVC or a stage script would read another path than the one that is meant.

        Blanks, brackets, `&`, `$` and their like do no harm between single quotes.
        """
        if "'" in value or _CONTROL.search(value):
            return f"{value!r} has a single quote, a tab or a line end in it; rename the file"
        if value.startswith("-"):
            return f"{value!r} would be read as an option; write ./{value}"
        if _HOME.match(value):
            return f"{value!r} starts with ~, which nothing expands here; write the whole path"
        if _ADDRESS.match(value):
            return f"{value!r} is an address; fetch the data, and name the {self.what} here"
        if "${" in value:
            return f"{value!r} has ${{ in it, which DVC takes for a template; rename the file"
        return None

    def __str__(self) -> str:
        return f"path of a {self.what}"


@dataclass(frozen=True)
class SomeAboveZero:
    """A mapping of names to weights that do not all vanish."""

    def find_problem(self, value: Mapping[str, float]) -> str | None:
        """That no weight counts."""
        return None if any(weight > 0 for weight in value.values()) else "no weight is above 0"

    def __str__(self) -> str:
        return "not all 0"


@dataclass(frozen=True)
class EmptyOr:
    """A list or mapping that is empty, or within a limit."""

    limit: Limit

    def find_problem(self, value: Sized) -> str | None:
        """What is wrong with entries, if there are some."""
        return self.limit.find_problem(value) if value else None

    def __str__(self) -> str:
        return f"empty or {self.limit}"


Count = Annotated[int, AtLeast(1)]
Whole = Annotated[int, AtLeast(0)]  # 0 means "all" or "none"; params.yaml says which
Positive = Annotated[float, Above(0)]
NotNegative = Annotated[float, AtLeast(0)]
Share = Annotated[float, Within("[0, 1]")]
PositiveShare = Annotated[float, Within("(0, 1]")]
Weights = Annotated[dict[str, NotNegative], SomeAboveZero()]
FilledText = Annotated[str, Filled()]
FilePath = Annotated[str, Filled(), PathTo("file")]
FolderPath = Annotated[str, Filled(), PathTo("folder")]
AnyPath = Annotated[str, Filled(), PathTo("file or folder")]
Tokens = Annotated[int, AtLeast(1), "tokens"]
Rows = Annotated[int, AtLeast(1), "rows"]
