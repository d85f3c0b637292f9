"""Which examples a prompt shows: rows of the seed pool, and rows that the teacher wrote before."""

import random
from collections.abc import Sequence
from pathlib import Path

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import ROWS
from montessori.errors import MontessoriError
from montessori.formats.formats import Example
from montessori.seeding import seed_of


def read_seeds(folder: Path) -> list[Example]:
    """The dialogue of each row of a rows folder, in its order."""
    return read_table(folder / "rows.parquet", ROWS)["messages"].to_list()


def draw_examples(
    seeds: Sequence[Example],
    kept: Sequence[Example],
    counts: tuple[int, int],
    randomness: tuple[int, str, int],
) -> list[Example]:
    """The examples of one prompt, shuffled.

    `counts` are (seed examples, kept examples); while too few rows are kept, seeds take their
    place. `randomness` is (seed, stage kind, prompt index). Only the number of seeds depends on
    what was kept, not which seeds are drawn. Raises MontessoriError when the seed pool is too
    small.
    """
    seed, kind, prompt = randomness
    from_kept = min(counts[1], len(kept))
    from_seeds = sum(counts) - from_kept
    if from_seeds > len(seeds):
        raise MontessoriError(
            f"the seed pool has {len(seeds)} rows but a prompt shows {from_seeds} of them",
            where="params.yaml, section instruction",
            expected="seed_examples + kept_examples no larger than the seed pool",
            next="lower instruction.seed_examples or give a larger seed pool in sources.seeds",
        )
    rng = random.Random(seed_of(seed, "examples", kind, prompt))
    # Draw as many seeds as a prompt without kept rows would show: the generator then moves on by
    # the same amount, however many of them give way to kept rows.
    drawn = sum(counts) if len(seeds) >= sum(counts) else from_seeds
    seed_places = rng.sample(range(len(seeds)), drawn)[:from_seeds]
    kept_places = rng.sample(range(len(kept)), from_kept)
    examples = [seeds[i] for i in seed_places] + [kept[i] for i in kept_places]
    rng.shuffle(examples)
    return examples
