"""Find near-duplicates by comparing every pair: with rapidfuzz, and as the published code does."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from montessori.errors import MontessoriError
from montessori.filters.rouge import f_measure, is_latin, split_words

BLOCK = 500  # rows whose pairs are held at once


@dataclass(frozen=True)
class AllPairs:
    """The decision on each row when every pair is compared.

    `closest` is the row that a dropped row is most similar to; None for a kept row, or if the most
    similar text is a seed.
    """

    dropped: list[bool]
    closest: list[int | None]
    seconds: float


def rouge_scorer() -> Any:
    """Open the ROUGE-L scorer of the package rouge_score; raises MontessoriError without it.

    Latin texts are split by the package, others by split_words, as the package sees nothing there.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError as error:
        raise MontessoriError(
            "the package rouge_score is not installed",
            expected="the package that the published procedure uses; lm-eval installs it",
            next="make setup, or pip install rouge_score",
        ) from error
    return RougeScorer(["rougeL"], tokenizer=_Tokenizer())


class _Tokenizer:
    """The package's own words of Latin texts, ours of others; processes take it as it is."""

    def tokenize(self, text: str) -> list[str]:
        from rouge_score.tokenize import tokenize

        words: list[str] = tokenize(text, None) if is_latin(text) else split_words(text)
        return words


def compare_all_pairs(seeds: Sequence[str], rows: Sequence[str], limit: float) -> AllPairs:
    """Compare each row with the seeds and all rows kept before it, by rapidfuzz.

    Common subsequences are computed on all cores, for a block of rows with every earlier text.
    """
    started = time.perf_counter()
    texts = _number_words([*seeds, *rows])
    lengths = np.array([len(text) for text in texts])
    kept = np.zeros(len(texts), dtype=bool)
    kept[: len(seeds)] = True
    closest: list[int | None] = []
    for start in range(len(seeds), len(texts), BLOCK):
        end = min(start + BLOCK, len(texts))
        # Scores of a block are computed before it is known which of its rows are kept; those of
        # dropped rows are set to 0 here.
        for index, scores in enumerate(_score_block(texts, lengths, start, end), start):
            scores = np.where(kept[:index], scores[:index], 0.0)
            best = int(scores.argmax()) if index else 0
            kept[index] = not (index and scores[best] > limit)
            closest.append(None if kept[index] or best < len(seeds) else best - len(seeds))
    dropped = (~kept[len(seeds) :]).tolist()
    return AllPairs(dropped, closest, time.perf_counter() - started)


def _number_words(texts: Sequence[str]) -> list[list[int]]:
    """Replace each word by a number, because rapidfuzz compares numbers faster."""
    numbers: dict[str, int] = {}
    numbered = []
    for text in texts:
        numbered.append([numbers.setdefault(word, len(numbers)) for word in split_words(text)])
    return numbered


def _score_block(
    texts: Sequence[Sequence[int]], lengths: np.ndarray, start: int, end: int
) -> np.ndarray:
    """ROUGE-L of texts `start` to `end` with all texts before `end`, (end - start, end)."""
    from rapidfuzz.distance import LCSseq
    from rapidfuzz.process import cdist

    common = cdist(
        texts[start:end], texts[:end], scorer=LCSseq.similarity, workers=-1, dtype=np.int64
    )
    scores = np.zeros(common.shape)  # (end - start, end)
    # Only pairs with a word in common: the F-measure of none would divide by zero.
    row, column = common.nonzero()
    lengths_in_common = common[row, column]
    scores[row, column] = f_measure(lengths_in_common, lengths[start:end][row], lengths[column])
    return scores


def published_procedure(text: str, earlier: Sequence[str], limit: float) -> tuple[bool, float]:
    """Decide on one text as the code of Montessori-Instruct does; returns (near, seconds).

    A new pool of processes, one for each core, scores the text against every earlier one with
    rouge_score. Processes are forked where the system allows it, because that is fastest.
    """
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    score = partial(rouge_scorer().score, text)
    started = time.perf_counter()
    with context.Pool(os.cpu_count()) as pool:
        scores = [result["rougeL"].fmeasure for result in pool.map(score, earlier)]
    near = max(scores, default=0.0) > limit
    return near, time.perf_counter() - started
