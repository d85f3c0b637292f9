"""Settings of the signals besides influence and in-context scores."""

from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.graph.limits import Count, FilePath, NotNegative, PositiveShare, Rows, Share, Tokens

Direction = Literal["high", "low"]  # which values are the better ones


@dataclass(frozen=True)
class JudgeSignalParams:
    """Section `judge_signal`: a judge's marks on the rows of a probe, from 0 to 5."""

    template: FilePath
    samples: Annotated[Count, "verdicts"]
    max_new_tokens: Tokens
    temperature: NotNegative
    top_p: PositiveShare
    max_malformed: Annotated[Share, "share of verdicts"]
    rows_per_part: Rows

    def check(self) -> list[str]:
        """Several verdicts on a row differ only when they are sampled."""
        if self.temperature == 0 and self.samples > 1:
            return [f"samples: {self.samples} verdicts are all alike at temperature 0"]
        return []


@dataclass(frozen=True)
class StudentSignalParams:
    """Section `student_signal`: the student's mean loss or entropy on a row's answer tokens."""

    direction: Direction
    max_length: Tokens
    rows_per_part: Rows
