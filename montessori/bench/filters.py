"""`montessori bench filters`: what finding near-duplicates costs, and whether it is correct."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.bench.all_pairs import (
    AllPairs,
    compare_all_pairs,
    published_procedure,
    rouge_scorer,
)
from montessori.errors import MontessoriError
from montessori.filters.near_duplicates import NearDuplicates
from montessori.filters.rouge import rouge_l, split_words
from montessori.sources.rows.read import read_turns


@dataclass(frozen=True)
class Options:
    """What is measured: rows, earlier rows, the limit, and the sizes of the comparisons."""

    rows: Path
    seeds: Path | None
    limit: float
    sample: int  # rows whose pairs rouge_score compares
    published_rows: int  # rows that the published procedure decides

    def check(self) -> None:
        """Raise MontessoriError for a limit outside [0, 1), at which nothing is compared."""
        if not 0 <= self.limit < 1:
            raise MontessoriError(
                f"--limit {self.limit:g} is not in [0, 1)",
                expected="a ROUGE-L F-measure below 1, such as 0.7",
                next="montessori bench filters --help",
            )


@dataclass(frozen=True)
class Run:
    """One pass over rows: which ones are near-duplicates, and the cost of finding them."""

    dropped: list[bool]
    seconds: float
    compared: int  # pairs whose longest common subsequence was computed


def measure_filters(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure our filter and its rivals; `say` gets lines for the user. Returns the figures.

    Raises MontessoriError for unusable options or rows.
    """
    options.check()
    rouge_scorer()  # a missing package is reported before any work
    seeds = _read_texts(options.seeds) if options.seeds else []
    rows = _read_texts(options.rows)
    find_near_duplicates(
        seeds[:2], rows[:2], options.limit
    )  # imports libraries before the clock starts
    # Half of the rows as well, to see how time grows with their number.
    half = find_near_duplicates(seeds, rows[: len(rows) // 2], options.limit)
    ours = find_near_duplicates(seeds, rows, options.limit)
    figures = _own_figures(_Passes(seeds, rows, ours, half), options, say)
    plain = compare_all_pairs(seeds, rows, options.limit)
    figures |= _against_plain(ours, plain, say)
    figures |= _against_truth(_choose_sample(rows, ours, plain, options.sample), options.limit, say)
    figures |= _against_published(seeds, rows, ours, options, say)
    figures["equal"] = all(value for name, value in figures.items() if name.startswith("equal_"))
    say("equal" if figures["equal"] else "NOT EQUAL")
    return figures


def find_near_duplicates(seeds: Sequence[str], rows: Sequence[str], limit: float) -> Run:
    """Our filter: compare each row with the seeds and the rows kept before it."""
    started = time.perf_counter()
    near, dropped = NearDuplicates(limit), []
    for text in seeds:
        near.add(text)
    for text in rows:
        dropped.append(near.near(text))
        if not dropped[-1]:
            near.add(text)
    return Run(dropped, time.perf_counter() - started, near.compared)


def _read_texts(path: Path) -> list[str]:
    return ["\n".join(turns) for turns in read_turns(path)]


def pairs_before(dropped: Sequence[bool], seeds: int) -> list[int]:
    """Count the earlier texts of each row: seeds and the rows kept before it."""
    counts, kept = [], seeds
    for gone in dropped:
        counts.append(kept)
        kept += not gone
    return counts


@dataclass(frozen=True)
class _Passes:
    """The texts, our pass over all rows and our pass over the first half of them."""

    seeds: list[str]
    rows: list[str]
    whole: Run
    half: Run


def _own_figures(passes: _Passes, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    rows, seeds, ours, half = passes.rows, passes.seeds, passes.whole, passes.half
    lengths = sorted(len(split_words(text)) for text in rows)
    figures = {
        "rows": len(rows),
        "seeds": len(seeds),
        "limit": options.limit,
        "median_words": lengths[len(lengths) // 2],
        "most_words": lengths[-1],
        "dropped": sum(ours.dropped),
        "pairs": sum(pairs_before(ours.dropped, len(seeds))),
        "pairs_compared": ours.compared,
        "seconds": ours.seconds,
        "rows_per_second": len(rows) / ours.seconds,
        "half_rows": len(rows) // 2,
        "half_seconds": half.seconds,
        "growth": ours.seconds / half.seconds,
    }
    say(
        f"ours: {len(rows)} rows (median {figures['median_words']} words) against each other and "
        f"{len(seeds)} seeds in {ours.seconds:.2f} s, {figures['dropped']} dropped; "
        f"{ours.compared} of {figures['pairs']} pairs compared; {figures['half_rows']} rows took "
        f"{half.seconds:.2f} s: twice the rows, {figures['growth']:.1f} times the time"
    )
    return figures


def _against_plain(ours: Run, plain: AllPairs, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare our decisions with those by every pair (rapidfuzz)."""
    equal = ours.dropped == plain.dropped
    say(f"every pair by rapidfuzz on all cores: {plain.seconds:.2f} s, decisions equal: {equal}")
    return {
        "all_pairs_seconds": plain.seconds,
        "all_pairs_ratio": plain.seconds / ours.seconds,
        "equal_all_pairs": equal,
    }


def _choose_sample(rows: Sequence[str], ours: Run, plain: AllPairs, size: int) -> list[str]:
    """Choose up to half dropped rows, each with its most similar row, and others evenly spread.

    Dropped rows whose most similar text is a seed are not chosen on purpose.
    """
    chosen: set[int] = set()
    dropped = [(i, j) for i, j in enumerate(plain.closest) if ours.dropped[i] and j is not None]
    for index, closest in dropped[: size // 4]:
        chosen |= {index, closest}
    for index in range(0, len(rows), max(1, len(rows) // max(1, size))):
        if len(chosen) < size:
            chosen.add(index)
    return [rows[i] for i in sorted(chosen)]


def _against_truth(
    sample: Sequence[str], limit: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Compare scores (to the last bit) and decisions with rouge_score on every pair of a sample."""
    truth, tokens = rouge_scorer(), [split_words(text) for text in sample]
    kept: list[int] = []
    dropped, pairs, unequal, seconds = [], 0, 0, 0.0
    for i, text in enumerate(sample):
        started = time.perf_counter()
        scores = [truth.score(text, sample[j])["rougeL"].fmeasure for j in kept]
        seconds += time.perf_counter() - started
        own_scores = [rouge_l(tokens[i], tokens[j]) for j in kept]
        unequal += sum(score != own for score, own in zip(scores, own_scores, strict=True))
        pairs += len(scores)
        dropped.append(any(score > limit for score in scores))
        if not dropped[-1]:
            kept.append(i)
    ours = find_near_duplicates([], sample, limit)
    equal = ours.dropped == dropped
    say(
        f"rouge_score, every pair of {len(sample)} rows: {pairs} pairs in {seconds:.2f} s, "
        f"{sum(dropped)} dropped; unequal scores: {unequal}; decisions equal: {equal}; "
        f"ours {seconds / ours.seconds:.0f} times faster"
    )
    return {
        "sample_rows": len(sample),
        "sample_pairs": pairs,
        "sample_dropped": sum(dropped),
        "sample_seconds": seconds,
        "sample_ratio": seconds / ours.seconds,
        "equal_scores": unequal == 0,
        "equal_sample": equal,
    }


def _against_published(
    seeds: Sequence[str],
    rows: Sequence[str],
    ours: Run,
    options: Options,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Decide some rows by the published procedure; extrapolate its time to all pairs."""
    count = min(options.published_rows, len(rows))
    # The middles of equal parts, since a later row has more earlier ones to be compared with.
    candidates = [(2 * i + 1) * len(rows) // (2 * count) for i in range(count)]
    pairs, seconds, equal = 0, 0.0, True
    for i in candidates:
        kept = [text for text, gone in zip(rows[:i], ours.dropped) if not gone]
        earlier = [*seeds, *kept]
        near, spent = published_procedure(rows[i], earlier, options.limit)
        pairs, seconds = pairs + len(earlier), seconds + spent
        equal = equal and near == ours.dropped[i]
    all_pairs = sum(pairs_before(ours.dropped, len(seeds)))
    whole = seconds / max(1, pairs) * all_pairs
    say(
        f"published procedure: {count} candidates, {pairs} pairs in {seconds:.2f} s; for all "
        f"{all_pairs} pairs that is {whole:.0f} s, by the number of pairs; decisions equal: "
        f"{equal}; ours {whole / ours.seconds:.0f} times faster"
    )
    return {
        "ratio": whole / ours.seconds,
        "published_rows": count,
        "published_pairs": pairs,
        "published_seconds": seconds,
        "published_seconds_per_pair": seconds / max(1, pairs),
        "published_seconds_extrapolated": whole,
        "equal_published": equal,
    }
