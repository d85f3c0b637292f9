"""The paired bootstrap of every benchmark: one draw of items serves all runs.

`scipy.stats.bootstrap` would draw for each pair of runs anew, so the same run would have other
samples in each comparison, and it cannot fit length control for all samples at once.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from montessori.evals.items import LENGTH_CONTROLLED
from montessori.evals.lab_benchmarks.ridge_length_control import length_controlled_rate
from montessori.evals.outcomes import Outcome
from montessori.evals.statistics import Floats, resampled_mean
from montessori.seeding import seed_of

#: Resamples times items held at once: 2,000 x 2,000 at 8 bytes are 32 MB (and as much while drawn).
CELLS = 4_000_000


def bootstrap_metric(
    name: str, outcomes: Mapping[str, Outcome], resamples: int
) -> dict[str, Floats]:
    """The metric of a benchmark on 0-100 in each bootstrap sample, by run: (resamples,) each.

    outcomes: by run, all with the same items in the same order. The seed of the draw depends on
    the benchmark's name alone, so adding a run or a benchmark changes no other sample.
    """
    items = len(next(iter(outcomes.values())).items)
    blocks: dict[str, list[Floats]] = {run: [] for run in outcomes}
    for counts in draw_item_counts(items, resamples, seed_of(0, "bootstrap", name)):
        for run, outcome in outcomes.items():
            blocks[run].append(compute_metric(name, outcome, counts))
    return {run: np.concatenate(parts) for run, parts in blocks.items()}


def draw_item_counts(items: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each item is drawn in each bootstrap sample (Efron 1979), in blocks of samples.

    Yields (samples, items) float64, `resamples` rows in all; each row sums to `items`. The blocks
    bound the memory and do not change the draw.
    """
    random = np.random.default_rng(seed)
    even = np.full(items, 1.0 / items)
    block = max(1, CELLS // items)
    for start in range(0, resamples, block):
        counts = random.multinomial(items, even, size=min(block, resamples - start))
        yield counts.astype(np.float64)  # floats, for which matrix products are fast


def observed_metric(name: str, outcome: Outcome) -> float:
    """The metric of a benchmark on 0-100, each item counted once."""
    return float(compute_metric(name, outcome, np.ones((1, len(outcome.items))))[0])


def compute_metric(name: str, outcome: Outcome, counts: Floats) -> Floats:
    """A benchmark's metric on 0-100 in each sample.

    counts: (samples, items), how often each item counts. Returns (samples,).
    """
    if name in LENGTH_CONTROLLED:
        return length_controlled_rate(outcome.value / 100.0, outcome.difference, counts)
    return resampled_mean(outcome.value, counts)
