"""The audit: the first-order estimate against the exact fp32 step on some rows of every run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from montessori.errors import MontessoriError


def spread_by_rank(scores: Sequence[float], count: int) -> list[int]:
    """Indices of `count` rows at even ranks from the lowest score to the highest."""
    order = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    count = min(count, len(order))
    if count < 2:
        return order[:count]
    last = len(order) - 1
    return [order[round(k * last / (count - 1))] for k in range(count)]


@dataclass(frozen=True)
class Audit:
    """How close centred estimates are to centred exact influences.

    `spearman` is the rank correlation, `sign_agreement` the share of equal signs, `max_deviation`
    the largest difference in standard deviations of the exact values.
    """

    probes: int
    spearman: float
    sign_agreement: float
    max_deviation: float


def compare_estimates(estimates: Sequence[float], exact: Sequence[float]) -> Audit:
    """The audit of estimates against exact values of the same rows, at least two of each."""
    frame = pl.DataFrame({"estimate": list(estimates), "exact": list(exact)})
    correlation = frame.select(pl.corr("estimate", "exact", method="spearman")).item()
    pairs = list(zip(estimates, exact, strict=True))
    agree = sum((a > 0) == (b > 0) for a, b in pairs) / len(pairs)
    deviation = max(abs(a - b) for a, b in pairs)
    scale = frame.select(pl.col("exact").std(ddof=0)).item() or 0.0
    return Audit(
        probes=len(pairs),
        spearman=float(correlation) if correlation is not None else math.nan,
        sign_agreement=agree,
        max_deviation=deviation / scale if scale else math.inf,
    )


def require_faithful(audit: Audit, least: float) -> None:
    """Raise MontessoriError when the rank correlation is below `least` or undefined."""
    if audit.spearman >= least:
        return
    raise MontessoriError(
        f"the influence estimate fails its audit: Spearman {audit.spearman:.3f} with the exact "
        f"step over {audit.probes} probes (equal signs {audit.sign_agreement:.0%})",
        where="params.yaml, key influence.learning_rate",
        expected=f"at least {least} (influence.audit_spearman)",
        next="divide influence.learning_rate by 10, then `dvc repro`: the step is too large for a "
        "first-order estimate",
    )
