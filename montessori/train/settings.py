"""Settings of warm-up, DPO and SFT: the sections `warmup`, `teacher_dpo` and `student_sft`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WarmupParams:
    """The warm-up of a student: AdamW, rate rises linearly and stays flat."""

    rows: int  # first kept rows of the probe, cut at a prompt boundary
    epochs: int
    batch: int  # rows per optimizer step
    learning_rate: float
    warmup: float  # share of steps with a rising rate
    max_grad_norm: float  # 0 = no clipping
    max_length: int  # tokens

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = _positive(self, "rows", "epochs", "batch", "learning_rate", "max_length")
        if self.max_grad_norm < 0:
            problems.append(f"max_grad_norm: {self.max_grad_norm} is below 0 (0 = no clipping)")
        return problems + _shares(self, "warmup")


@dataclass(frozen=True)
class TeacherDpoParams:
    """DPO of the teacher: AdamW, warm-up/stable/decay rate, full parameters."""

    learning_rate: float
    beta: float
    epochs: int
    batch: int  # pairs per optimizer step
    warmup: float  # share of steps
    decay: float  # share of steps
    min_learning_rate: float  # of the highest rate
    max_length: int  # tokens

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = _positive(self, "learning_rate", "beta", "epochs", "batch", "max_length")
        return problems + _schedule(self)


@dataclass(frozen=True)
class StudentSftParams:
    """SFT of a student: AdamW, warm-up/stable/decay rate, loss on assistant tokens."""

    learning_rate: float
    epochs: int
    batch: int  # rows per optimizer step
    warmup: float  # share of steps
    decay: float  # share of steps
    min_learning_rate: float  # of the highest rate
    max_length: int  # tokens

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = _positive(self, "learning_rate", "epochs", "batch", "max_length")
        return problems + _schedule(self)


def _positive(settings: object, *names: str) -> list[str]:
    values = ((name, getattr(settings, name)) for name in names)
    return [f"{name}: {value} is not above 0" for name, value in values if not value > 0]


def _shares(settings: object, *names: str) -> list[str]:
    values = ((name, getattr(settings, name)) for name in names)
    return [
        f"{name}: {value} is not between 0 and 1" for name, value in values if not 0 <= value <= 1
    ]


def _schedule(settings: TeacherDpoParams | StudentSftParams) -> list[str]:
    problems = _shares(settings, "warmup", "decay", "min_learning_rate")
    if settings.warmup + settings.decay > 1:
        both = f"{settings.decay} and warmup {settings.warmup}"
        problems.append(f"decay: {both} are above 1 together")
    return problems
