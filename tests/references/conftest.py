"""The canonical runs, made once for all tests of this folder."""

import pytest

from tests.references import recipes
from tests.references.recipes import World


@pytest.fixture(scope="session")
def canonical(tmp_path_factory, student, machine):
    """A function that makes the run of a name once: (its world, its trajectory)."""
    made = {}

    def run(name):
        if name not in made:
            world = World(student, machine, tmp_path_factory.mktemp(name))
            made[name] = world, recipes.RUNS[name](world)
        return made[name]

    return run
