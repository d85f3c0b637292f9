"""The section of params.yaml on decontamination, read by all stages that make rows."""

from dataclasses import dataclass
from typing import Annotated

from montessori.graph.limits import Share, Whole


@dataclass(frozen=True)
class DecontaminationParams:
    """Section `decontamination`: how eval items are recognised, and how many are too many."""

    ngram: Annotated[Whole, "words"]
    limit: Annotated[Share, "share of samples"]
