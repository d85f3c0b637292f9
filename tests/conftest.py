"""What all tests share: an offline, single-threaded process and tiny models made once."""

import os
import sys

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
}

from pathlib import Path

import pytest
from hypothesis import settings

from montessori.pipeline.machine import Machine

#: Property tests draw the same examples in every run, on every machine, and take their time.
settings.register_profile("same examples", derandomize=True, database=None, deadline=None)
settings.load_profile("same examples")


@pytest.fixture(autouse=True)
def _settable_threads():
    """Give torch back the function that sets its threads: vLLM on a CPU takes it away for good."""
    yield
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads = torch._C.set_num_threads


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random Llama; never written to."""
    from tests.tiny_models import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("models") / "student", seed=1)


@pytest.fixture(scope="session")
def machine() -> Machine:
    """One thread of the CPU."""
    return Machine(device="cpu", threads=1)


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe of 12 prompts x 3 samples, one dropped; see `tests.tiny_rows`."""
    from tests.tiny_rows import write_probe

    return write_probe(tmp_path_factory.mktemp("data") / "probe", prompts=12, samples=3)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten reference rows of two skills, of different lengths."""
    from tests.tiny_rows import write_reference

    return write_reference(tmp_path_factory.mktemp("data") / "reference", rows=10)
