"""Settings of local data influence: the section `influence`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class InfluenceParams:
    """The probing step, the reference set, and the audit of the estimate."""

    learning_rate: float  # of the probing step
    references: int  # reference rows
    max_length: int  # tokens
    baseline: Literal["momentum", "before"]  # the neutral score: momentum-only step, or no step
    audit: int  # probes also scored by the exact fp32 step
    audit_spearman: float  # below this the stage stops
    rows_per_part: int  # rows of a resumable part

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        names = ("learning_rate", "references", "max_length", "rows_per_part")
        values = ((name, getattr(self, name)) for name in names)
        problems = [f"{name}: {value} is not above 0" for name, value in values if not value > 0]
        if self.audit != 0 and self.audit < 8:
            problems.append(f"audit: {self.audit} is below 8 (0 switches the audit off)")
        if not -1 <= self.audit_spearman <= 1:
            problems.append(f"audit_spearman: {self.audit_spearman} is not between -1 and 1")
        return problems
