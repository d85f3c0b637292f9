"""Near-duplicates by comparing with everything: plainly, and as the published code does it."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from montessori.errors import MontessoriError
from montessori.filters.rouge import f_measure, split_words

BLOCK = 500  # rows whose pairs are held at once


@dataclass(frozen=True)
class AllPairs:
    """What comparing with everything says of each row.

    `closest` is the row that a dropped row is closest to; None where it was kept, or where that
    is a seed.
    """

    dropped: list[bool]
    closest: list[int | None]
    seconds: float


def scorer() -> Any:
    """The ROUGE-L scorer of the rouge_score package. Raises MontessoriError without it."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError as error:
        raise MontessoriError(
            "the package rouge_score is not installed",
            expected="what the published procedure is measured with; it comes with lm-eval",
            next="make setup, or pip install rouge_score",
        ) from error
    return RougeScorer(["rougeL"])


def all_pairs(seeds: Sequence[str], rows: Sequence[str], limit: float) -> AllPairs:
    """Each row against the seeds and all rows kept before it, every pair by rapidfuzz.

    Subsequences are computed on all cores, in blocks of rows against everything earlier.
    """
    started = time.perf_counter()
    texts = _numbered([*seeds, *rows])
    lengths = np.array([len(text) for text in texts])
    kept = np.zeros(len(texts), dtype=bool)
    kept[: len(seeds)] = True
    closest: list[int | None] = []
    for start in range(len(seeds), len(texts), BLOCK):
        end = min(start + BLOCK, len(texts))
        for place, scores in enumerate(_scores(texts, lengths, start, end), start):
            scores = np.where(kept[:place], scores[:place], 0.0)
            best = int(scores.argmax()) if place else 0
            kept[place] = not (place and scores[best] > limit)
            closest.append(None if kept[place] or best < len(seeds) else best - len(seeds))
    dropped = (~kept[len(seeds) :]).tolist()
    return AllPairs(dropped, closest, time.perf_counter() - started)


def _numbered(texts: Sequence[str]) -> list[list[int]]:
    numbers: dict[str, int] = {}
    return [
        [numbers.setdefault(word, len(numbers)) for word in split_words(text)] for text in texts
    ]


def _scores(
    texts: Sequence[Sequence[int]], lengths: np.ndarray, start: int, end: int
) -> np.ndarray:
    """ROUGE-L of texts `start` to `end` with all texts before `end`, (end - start, end)."""
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cdist

    common = cdist(
        texts[start:end], texts[:end], scorer=LCSseq.similarity, workers=-1, dtype=np.int64
    )
    scores = np.zeros(common.shape)
    row, column = common.nonzero()
    some = common[row, column]
    scores[row, column] = f_measure(some, lengths[start:end][row], lengths[column])
    return scores


def published_procedure(text: str, earlier: Sequence[str], limit: float) -> tuple[bool, float]:
    """Whether a text is a near-duplicate, and the seconds, as in the code of Montessori-Instruct.

    A new pool of processes, one a core, scores the text against every earlier one with
    rouge_score. Processes are forked where the system can, which is the quickest way.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    score = partial(scorer().score, text)
    started = time.perf_counter()
    with context.Pool(os.cpu_count()) as pool:
        scores = [found["rougeL"].fmeasure for found in pool.map(score, earlier)]
    near = max(scores, default=0.0) > limit
    return near, time.perf_counter() - started
