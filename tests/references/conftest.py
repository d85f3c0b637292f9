"""The canonical runs, made once for all tests of this folder."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.references import recipes
from tests.references.recipes import World


@pytest.fixture(scope="session")
def canonical(tmp_path_factory, student, machine):
    """A function that makes the run of a name once: (its world, its trajectory).

    Each run has a new process, as a stage has: what other tests leave behind in libraries, such as
    vLLM's threads, can change the last bit.
    """
    made = {}

    def run(name):
        if name not in made:
            world = World(student, machine, tmp_path_factory.mktemp(name))
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                made[name] = world, process.submit(recipes.RUNS[name], world).result()
        return made[name]

    return run
