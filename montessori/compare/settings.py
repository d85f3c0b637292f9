"""Typed section of params.yaml for the stage compare."""

from dataclasses import dataclass
from typing import Annotated

from montessori.graph.limits import AtLeast, FilledText, Within

MIN_RESAMPLES = 100


@dataclass(frozen=True)
class CompareParams:
    """Section `compare`: with which run, and how sure.

    A run that is judged against another run than `baseline` is compared with that run.
    """

    baseline: FilledText
    resamples: Annotated[int, AtLeast(MIN_RESAMPLES), "samples"]
    confidence: Annotated[float, Within("(0, 1)"), "probability"]
