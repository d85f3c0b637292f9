"""Settings of training: the sections `warmup`, `teacher_dpo` and `student_sft`."""

from dataclasses import dataclass
from typing import Annotated

from montessori.graph.limits import Count, NotNegative, Positive, Rows, Share, Tokens

Passes = Annotated[Count, "passes"]
ShareOfSteps = Annotated[Share, "share of steps"]


@dataclass(frozen=True)
class WarmupParams:
    """Section `warmup`: AdamW on a student; the rate rises linearly and stays flat."""

    rows: Rows
    epochs: Passes
    batch: Annotated[Count, "rows per step"]
    learning_rate: Positive
    warmup: ShareOfSteps
    max_grad_norm: NotNegative
    max_length: Tokens


@dataclass(frozen=True)
class TeacherDpoParams:
    """Section `teacher_dpo`: AdamW on all parameters; the rate rises, stays and falls."""

    learning_rate: Positive
    beta: Positive
    epochs: Passes
    batch: Annotated[Count, "pairs per step"]
    warmup: ShareOfSteps
    decay: ShareOfSteps
    min_learning_rate: Share
    max_length: Tokens

    def check(self) -> list[str]:
        """The rate rises and falls within the steps."""
        return _schedule_problems(self.warmup, self.decay)


@dataclass(frozen=True)
class StudentSftParams:
    """Section `student_sft`: AdamW, loss on assistant tokens; the rate rises, stays and falls."""

    learning_rate: Positive
    epochs: Passes
    batch: Annotated[Count, "rows per step"]
    warmup: ShareOfSteps
    decay: ShareOfSteps
    min_learning_rate: Share
    max_length: Tokens

    def check(self) -> list[str]:
        """The rate rises and falls within the steps."""
        return _schedule_problems(self.warmup, self.decay)


def _schedule_problems(warmup: float, decay: float) -> list[str]:
    if warmup + decay <= 1:
        return []
    return [f"decay: {decay} and warmup {warmup} are above 1 together"]
