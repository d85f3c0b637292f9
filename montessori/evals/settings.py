"""Typed sections of params.yaml for the stages answers, judge and eval."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BenchmarkParams:
    """Section `benchmark`: which items are asked, and how long an answer may be.

    split: "dev" while settings are chosen, "test" once.
    max_new_tokens: tokens of one answer; decoding is greedy.
    """

    split: Literal["dev", "test"]
    max_new_tokens: int

    def check(self) -> list[str]:
        """Problems of the values, one line each."""
        return [] if self.max_new_tokens >= 1 else ["max_new_tokens: must be at least 1"]


@dataclass(frozen=True)
class JudgeParams:
    """Section `judge`: who judges answers to open benchmarks ("grader": the lab's checker)."""

    kind: Literal["grader"]


@dataclass(frozen=True)
class EvalParams:
    """Section `eval`: batch is the rows of one forward pass; it moves scores by rounding only."""

    batch: int

    def check(self) -> list[str]:
        """Problems of the values, one line each."""
        return [] if self.batch >= 1 else ["batch: must be at least 1"]
