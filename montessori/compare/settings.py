"""Typed section of params.yaml for the stage compare."""

from dataclasses import dataclass

MIN_RESAMPLES = 100


@dataclass(frozen=True)
class CompareParams:
    """Section `compare`.

    baseline: the run that deltas are against; those of runs that are judged against another run
        than it are against that run.
    resamples: bootstrap samples of the items.
    confidence: probability mass of the two-sided interval, in (0, 1).
    """

    baseline: str
    resamples: int
    confidence: float

    def check(self) -> list[str]:
        """Problems of the values, one line each."""
        problems = []
        if self.resamples < MIN_RESAMPLES:
            problems.append(f"resamples: must be at least {MIN_RESAMPLES}")
        if not 0.0 < self.confidence < 1.0:
            problems.append("confidence: must lie between 0 and 1, for example 0.95")
        return problems
