"""`montessori bench filters`: what finding near-duplicates costs, and whether it decides right."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.bench.all_pairs import AllPairs, all_pairs, published_procedure, scorer
from montessori.errors import MontessoriError
from montessori.filters.near_duplicates import NearDuplicates
from montessori.filters.rouge import rouge_l, split_words
from montessori.sources.rows import read_turns


@dataclass(frozen=True)
class Options:
    """What is measured: the rows, what counts as earlier, the limit, and against how many."""

    rows: Path
    seeds: Path | None
    limit: float
    sample: int  # rows of the all-pairs computation by rouge_score
    published_rows: int  # candidates of the published procedure

    def check(self) -> None:
        """Raise MontessoriError for a limit at which nothing is compared."""
        if not 0 <= self.limit < 1:
            raise MontessoriError(
                f"--limit {self.limit:g} is not in [0, 1)",
                expected="a ROUGE-L F-measure below 1, such as 0.7",
                next="montessori bench filters --help",
            )


@dataclass(frozen=True)
class Run:
    """One pass over rows: which were near-duplicates, and what finding them cost."""

    dropped: list[bool]
    seconds: float
    compared: int  # pairs whose longest common subsequence was computed


def bench(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure what `options` ask for; lines for a person go to `say`. Returns the figures.

    Raises MontessoriError for options or rows that cannot be used.
    """
    options.check()
    scorer()  # says at once when rouge_score is missing
    seeds = _texts(options.seeds) if options.seeds else []
    rows = _texts(options.rows)
    near_duplicates(seeds[:2], rows[:2], options.limit)  # loads what is loaded on first use
    half = near_duplicates(seeds, rows[: len(rows) // 2], options.limit)
    ours = near_duplicates(seeds, rows, options.limit)
    figures = _own_figures(rows, seeds, ours, half, options, say)
    plain = all_pairs(seeds, rows, options.limit)
    figures |= _against_plain(ours, plain, say)
    figures |= _against_truth(_sample(rows, ours, plain, options.sample), options.limit, say)
    figures |= _against_published(seeds, rows, ours, options, say)
    figures["equal"] = all(value for name, value in figures.items() if name.startswith("equal_"))
    say("equal" if figures["equal"] else "NOT EQUAL")
    return figures


def near_duplicates(seeds: Sequence[str], rows: Sequence[str], limit: float) -> Run:
    """Our pass: each row against the seeds and the rows kept before it."""
    started = time.perf_counter()
    near, dropped = NearDuplicates(limit), []
    for text in seeds:
        near.add(text)
    for text in rows:
        dropped.append(near.near(text))
        if not dropped[-1]:
            near.add(text)
    return Run(dropped, time.perf_counter() - started, near.compared)


def _texts(path: Path) -> list[str]:
    return ["\n".join(turns) for turns in read_turns(path)]


def pairs_before(dropped: Sequence[bool], seeds: int) -> list[int]:
    """How many earlier texts each row meets when it is compared with all: seeds and kept rows."""
    counts, kept = [], seeds
    for gone in dropped:
        counts.append(kept)
        kept += not gone
    return counts


def _own_figures(
    rows: Sequence[str],
    seeds: Sequence[str],
    ours: Run,
    half: Run,
    options: Options,
    say: Callable[[str], None],
) -> dict[str, Any]:
    lengths = sorted(len(split_words(text)) for text in rows)
    figures = {
        "rows": len(rows), "seeds": len(seeds), "limit": options.limit,
        "median_words": lengths[len(lengths) // 2], "most_words": lengths[-1],
        "dropped": sum(ours.dropped), "pairs": sum(pairs_before(ours.dropped, len(seeds))),
        "pairs_compared": ours.compared, "seconds": ours.seconds,
        "rows_per_second": len(rows) / ours.seconds, "half_rows": len(rows) // 2,
        "half_seconds": half.seconds, "growth": ours.seconds / half.seconds,
    }  # fmt: skip
    say(
        f"ours: {len(rows)} rows (median {figures['median_words']} words) against each other and "
        f"{len(seeds)} seeds in {ours.seconds:.2f} s, {figures['dropped']} dropped; "
        f"{ours.compared} of {figures['pairs']} pairs compared; {figures['half_rows']} rows took "
        f"{half.seconds:.2f} s: twice the rows, {figures['growth']:.1f} times the time"
    )
    return figures


def _against_plain(ours: Run, plain: AllPairs, say: Callable[[str], None]) -> dict[str, Any]:
    """All rows by rapidfuzz, every pair."""
    equal = ours.dropped == plain.dropped
    say(f"every pair by rapidfuzz on all cores: {plain.seconds:.2f} s, decisions equal: {equal}")
    return {
        "all_pairs_seconds": plain.seconds,
        "all_pairs_ratio": plain.seconds / ours.seconds,
        "equal_all_pairs": equal,
    }


def _sample(rows: Sequence[str], ours: Run, plain: AllPairs, size: int) -> list[str]:
    """Up to half dropped rows, each with what it is too close to; the rest evenly spread."""
    dropped = [i for i, gone in enumerate(ours.dropped) if gone and plain.closest[i] is not None]
    chosen = {j for i in dropped[: size // 4] for j in (i, plain.closest[i]) if j is not None}
    spread = range(0, len(rows), max(1, len(rows) // max(1, size)))
    chosen.update([i for i in spread if i not in chosen][: size - len(chosen)])
    return [rows[i] for i in sorted(chosen)]


def _against_truth(
    sample: Sequence[str], limit: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Every pair of a sample by rouge_score: scores to the last bit, and decisions."""
    truth, tokens = scorer(), [split_words(text) for text in sample]
    kept: list[int] = []
    dropped, pairs, unequal, seconds = [], 0, 0, 0.0
    for i, text in enumerate(sample):
        started = time.perf_counter()
        scores = [truth.score(text, sample[j])["rougeL"].fmeasure for j in kept]
        seconds += time.perf_counter() - started
        unequal += sum(s != rouge_l(tokens[i], tokens[j]) for s, j in zip(scores, kept))
        pairs += len(scores)
        dropped.append(any(score > limit for score in scores))
        if not dropped[-1]:
            kept.append(i)
    ours = near_duplicates([], sample, limit)
    equal = ours.dropped == dropped
    say(
        f"rouge_score, every pair of {len(sample)} rows: {pairs} pairs in {seconds:.2f} s, "
        f"{sum(dropped)} dropped; unequal scores: {unequal}; decisions equal: {equal}; "
        f"ours {seconds / ours.seconds:.0f} times faster"
    )
    return {
        "sample_rows": len(sample), "sample_pairs": pairs, "sample_dropped": sum(dropped),
        "sample_seconds": seconds, "sample_ratio": seconds / ours.seconds,
        "equal_scores": unequal == 0, "equal_sample": equal,
    }  # fmt: skip


def _against_published(
    seeds: Sequence[str],
    rows: Sequence[str],
    ours: Run,
    options: Options,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Some candidates by the published procedure; its time on all rows by the number of pairs."""
    count = min(options.published_rows, len(rows))
    candidates = [(2 * i + 1) * len(rows) // (2 * count) for i in range(count)]
    pairs, seconds, equal = 0, 0.0, True
    for i in candidates:
        earlier = [*seeds, *(text for text, gone in zip(rows[:i], ours.dropped) if not gone)]
        found, took = published_procedure(rows[i], earlier, options.limit)
        pairs, seconds = pairs + len(earlier), seconds + took
        equal = equal and found == ours.dropped[i]
    all_of_them = sum(pairs_before(ours.dropped, len(seeds)))
    whole = seconds / max(1, pairs) * all_of_them
    say(
        f"published procedure: {count} candidates, {pairs} pairs in {seconds:.2f} s; for all "
        f"{all_of_them} pairs that is {whole:.0f} s, by the number of pairs; decisions equal: "
        f"{equal}; ours {whole / ours.seconds:.0f} times faster"
    )
    return {
        "ratio": whole / ours.seconds, "published_rows": count, "published_pairs": pairs,
        "published_seconds": seconds, "published_seconds_per_pair": seconds / max(1, pairs),
        "published_seconds_extrapolated": whole, "equal_published": equal,
    }  # fmt: skip
