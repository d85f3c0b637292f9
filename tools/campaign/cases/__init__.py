"""The classes of bad input, one module each: its `make_cases(rng)` yields the cases."""

import importlib
import random
from collections.abc import Iterator, Sequence

from tools.campaign.case import Case

#: Names of the classes, as in the table; `params-yaml` is made by params_yaml.py.
CLASSES = (
    *("settings", "params-yaml", "rows", "recipes", "benchmarks", "models", "hosted"),
    *("templates", "verdicts", "tasks", "commands"),
)


def make_all_cases(seed: int, classes: Sequence[str] = CLASSES) -> Iterator[Case]:
    """The cases of some classes. The random ones of a class depend on the seed and the class."""
    for name in classes:
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        yield from module.make_cases(random.Random(f"{seed} {name}"))
