"""Sections `icl` and `examinee`: how a student is asked, and how its answers are read."""

from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.graph.limits import Distinct, Filled, FolderPath, Holding, Rows, Tokens, Whole

Measure = Literal["accuracy", "probability", "logprob"]
Read = Literal["forced", "generate"]


@dataclass(frozen=True)
class IclParams:
    """Section `icl`: how a student answers questions after a demonstration.

    `forced` reads closed questions from the log-probabilities of their answers and lets the
    student write only where a question is open; `generate` lets it write always.
    """

    templates: FolderPath
    answers: Annotated[tuple[Annotated[str, Holding("{answer}")], ...], Filled()]
    stop: Annotated[str, Filled()]
    read: Read
    measure: Measure
    neutral: Literal["none", "zero-shot"]
    questions: Annotated[Whole, "questions"]
    max_new_tokens: Tokens
    rows_per_part: Rows

    def check(self) -> list[str]:
        """A written answer has no probability."""
        if self.read == "generate" and self.measure != "accuracy":
            return [f"measure: {self.measure} needs read: forced"]
        return []


@dataclass(frozen=True)
class ExamineeParams:
    """Section `examinee`: with how many solved examples each model takes the questions."""

    shots: Annotated[tuple[Whole, ...], Filled(), Distinct(), "examples"]
