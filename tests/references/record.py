"""Record reference trajectories: `python -m tests.references.record [NAME ...]`, all by default.

See README.md in this folder for when that is right.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from montessori.pipeline.machine import Machine
from tests.references import recipes, stored
from tests.tiny_models import tiny_llama


def record(names: Sequence[str]) -> None:
    """Run each of `names` and store what it did."""
    with tempfile.TemporaryDirectory() as temporary:
        student = tiny_llama(Path(temporary) / "student", seed=1)
        for name in names:
            folder = Path(temporary) / name
            folder.mkdir()
            world = recipes.World(student, Machine(device="cpu", threads=1), folder)
            print(stored.write(name, recipes.RUNS[name](world)))


if __name__ == "__main__":
    record(sys.argv[1:] or list(recipes.RUNS))
