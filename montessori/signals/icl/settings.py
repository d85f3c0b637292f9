"""Sections `icl` and `examinee`: how a student is asked, and how its answers are read."""

from dataclasses import dataclass
from typing import Literal

Measure = Literal["accuracy", "probability", "logprob"]
Read = Literal["forced", "generate"]


@dataclass(frozen=True)
class IclParams:
    """Section `icl`: how a student answers questions after a demonstration.

    `forced` reads closed questions from the log-probabilities of their answers and lets the
    student write only where a question is open; `generate` lets it write always.
    """

    templates: str  # folder with demonstration.jinja and question.jinja
    answers: tuple[str, ...]  # ways to state an answer, {answer} in each
    stop: str  # text that ends an answer, besides the end of the turn
    read: Read
    measure: Measure
    neutral: Literal["none", "zero-shot"]  # neutral score: prompts' median, or no demonstration
    questions: int  # of the set, the first so many; 0 = all
    max_new_tokens: int
    rows_per_part: int

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = []
        if not self.answers or any("{answer}" not in form for form in self.answers):
            problems.append("answers: each way to state an answer holds {answer}")
        if not self.stop:
            problems.append("stop: is empty")
        if self.read == "generate" and self.measure != "accuracy":
            problems.append(f"measure: {self.measure} needs read: forced")
        least = {"questions": 0, "max_new_tokens": 1, "rows_per_part": 1}
        return problems + [
            f"{key}: {getattr(self, key)} is below {bound}"
            for key, bound in least.items()
            if getattr(self, key) < bound
        ]


@dataclass(frozen=True)
class ExamineeParams:
    """Section `examinee`: with how many solved examples each model takes the questions."""

    shots: tuple[int, ...]

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        if not self.shots or min(self.shots) < 0 or len({*self.shots}) < len(self.shots):
            return ["shots: name at least one number from 0 up, each once"]
        return []
