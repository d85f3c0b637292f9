"""The scale of MT-Bench's scores, 1 to 10 (Zheng and others 2023, arXiv 2306.05685)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOWEST, HIGHEST = 1.0, 10.0


def score_of(quality: float) -> float:
    """The score of an answer whose quality lies in [0, 1]: 1 + 9 x quality."""
    return LOWEST + (HIGHEST - LOWEST) * quality


def to_percent(score: ArrayLike) -> NDArray[np.float64]:
    """Scores from 1 to 10 as percentages: (score - 1) / 9 x 100, element by element."""
    return (np.asarray(score, dtype=np.float64) - LOWEST) / (HIGHEST - LOWEST) * 100.0
