"""The section of params.yaml on decontamination, read by all stages that make rows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecontaminationParams:
    """Section `decontamination`: how eval items are recognised, and how many are too many."""

    ngram: int  # words; 0 = whole texts only
    limit: float  # share of samples

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = []
        if self.ngram < 0:
            problems.append(f"ngram: {self.ngram} is below 0 (0 = whole texts only)")
        if not 0 <= self.limit <= 1:
            problems.append(f"limit: {self.limit} is not in [0, 1]")
        return problems
