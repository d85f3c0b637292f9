"""Fixtures that keep one test from changing the next.

What would break: behind a test of vLLM every test that sets threads fails, by the order of files.
"""

import pytest
import torch


@pytest.fixture(scope="module")
def _given_back():
    """Looks when the fixtures of single tests have cleaned up."""
    yield
    assert torch.set_num_threads is torch._C.set_num_threads


@pytest.mark.usefixtures("_given_back")
def test_threads_can_be_set_again_behind_a_test_that_took_this_away():
    torch.set_num_threads = lambda count: None  # as vLLM does on a CPU
