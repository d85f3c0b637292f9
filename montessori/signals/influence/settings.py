"""Settings of local data influence: the section `influence`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.graph.limits import NotNegative, Positive, Rows, Tokens, Within, ZeroOr

LEAST_AUDIT = 8  # rows; a rank correlation of fewer says nothing


@dataclass(frozen=True)
class InfluenceParams:
    """Section `influence`: the probing step, the reference set, and the audit of the estimate."""

    learning_rate: Positive
    references: Rows
    max_length: Tokens
    baseline: Literal["momentum", "before"]
    estimate: Literal["first-order", "exact"]
    unit: Literal["row", "group"]
    precision: Literal["fp32", "bf16", "fp64"]
    max_grad_norm: NotNegative
    audit: Annotated[int, ZeroOr(LEAST_AUDIT), "rows"]
    audit_spearman: Annotated[float, Within("[-1, 1]"), "rank correlation"]
    rows_per_part: Rows

    def check(self) -> list[str]:
        """An exact step is smaller than the rounding of bf16 weights."""
        if self.estimate == "exact" and self.precision == "bf16":
            return ["precision: an exact step is lost in bf16 weights (fp32 or fp64)"]
        return []
