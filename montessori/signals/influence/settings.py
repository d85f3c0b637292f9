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
    estimate: Literal["first-order", "exact"]  # exact: the oracle, a reference pass a probe
    unit: Literal["row", "group"]  # group: what a row adds to a step on all rows of its prompt
    precision: Literal["fp32", "bf16", "fp64"]  # weights, moments, gradients; the audit is fp32
    max_grad_norm: float  # clipping of the probing step; 0: none
    audit: int  # probes also scored by the exact fp32 step
    audit_spearman: float  # below this the stage stops
    rows_per_part: int  # rows of a resumable part, up to the end of a prompt

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        names = ("learning_rate", "references", "max_length", "rows_per_part")
        values = ((name, getattr(self, name)) for name in names)
        problems = [f"{name}: {value} is not above 0" for name, value in values if not value > 0]
        if self.max_grad_norm < 0:
            problems.append(f"max_grad_norm: {self.max_grad_norm} is below 0 (0 = no clipping)")
        if self.audit != 0 and self.audit < 8:
            problems.append(f"audit: {self.audit} is below 8 (0 switches the audit off)")
        if not -1 <= self.audit_spearman <= 1:
            problems.append(f"audit_spearman: {self.audit_spearman} is not between -1 and 1")
        if self.estimate == "exact" and self.precision == "bf16":
            problems.append("precision: an exact step is lost in bf16 weights (fp32 or fp64)")
        return problems
