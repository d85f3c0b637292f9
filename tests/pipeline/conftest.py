"""The small pipeline, run once for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.checkout import MODELS, Checkout, make_checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the whole pipeline has run and everything is committed."""
    missing = [folder.name for folder in MODELS if not (folder / "model.safetensors").is_file()]
    if missing:
        pytest.fail(f"data/micro lacks {', '.join(missing)}; next: make micro-base")
    made = make_checkout(tmp_path_factory.mktemp("pipeline") / "first")
    made.ran = made.repro()
    made.commit("results")
    return made


@pytest.fixture
def fresh(checkout: Checkout) -> Iterator[Checkout]:
    """The same checkout, put back to its committed results before and after the test."""
    checkout.restore()
    yield checkout
    checkout.restore()


@pytest.fixture
def second_place(tmp_path: Path) -> Path:
    """Where a second clone goes: another path, of another length."""
    return tmp_path / "somewhere" / "quite" / "different"
