"""Settings of the student signals besides influence: `judge_signal`, `loss`, `uncertainty`."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["high", "low"]  # which values are the better ones


@dataclass(frozen=True)
class JudgeSignalParams:
    """A judge's marks on the rows of a probe, from 0 to 5."""

    template: str  # path of a jinja file: `instruction` and `response` of the row
    samples: int  # verdicts on a row; their mean counts
    max_new_tokens: int
    temperature: float
    top_p: float
    max_malformed: float  # share of verdicts without a mark above which the stage stops
    rows_per_part: int  # rows of a resumable part

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = _positive(self, "samples", "max_new_tokens", "rows_per_part")
        if self.temperature < 0:
            problems.append(f"temperature: {self.temperature} is below 0")
        if self.temperature == 0 and self.samples > 1:
            problems.append("samples: more than 1 are all alike at temperature 0")
        if not 0 < self.top_p <= 1:
            problems.append(f"top_p: {self.top_p} is not in (0, 1]")
        if not 0 <= self.max_malformed <= 1:
            problems.append(f"max_malformed: {self.max_malformed} is not in [0, 1]")
        return problems


@dataclass(frozen=True)
class LossParams:
    """The warmed-up student's mean loss on a row's answer tokens."""

    direction: Direction
    max_length: int  # tokens
    rows_per_part: int  # rows of a resumable part

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _positive(self, "max_length", "rows_per_part")


@dataclass(frozen=True)
class UncertaintyParams:
    """The warmed-up student's mean entropy on a row's answer tokens."""

    direction: Direction
    max_length: int  # tokens
    rows_per_part: int  # rows of a resumable part

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _positive(self, "max_length", "rows_per_part")


def _positive(settings: object, *names: str) -> list[str]:
    values = ((name, getattr(settings, name)) for name in names)
    return [f"{name}: {value} is not above 0" for name, value in values if not value > 0]
