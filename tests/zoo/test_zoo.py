"""Every architecture holds what the table in the docs says of it.

What would break: a model that is not a Llama or a Qwen2 gets wrong text, wrong log-likelihoods,
wrong influence, or is spoilt by training, and nothing says so.
"""

import pytest

from tests.zoo.models import ARCHITECTURES, QUICK
from tests.zoo.record import CHECKS, check_architecture, read_record

SLOW = [name for name in ARCHITECTURES if name not in QUICK]


def assert_as_recorded(name: str) -> None:
    """What is found is what the record says, word by word where the words name no number."""
    recorded = read_record()["architectures"][name]["checks"]
    found = check_architecture(name)["checks"]
    different = {
        column: f"{result}: {words}; recorded: {recorded[column][0]}"
        for column, (result, words) in found.items()
        if result != recorded[column][0]
    }
    assert not different, f"run `python tools/zoo.py {name}` and `python tools/pages.py`"


@pytest.mark.parametrize("name", QUICK)
def test_those_that_differ_most_hold_what_the_table_says(name: str) -> None:
    assert_as_recorded(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_all_others_hold_what_the_table_says(name: str) -> None:
    assert_as_recorded(name)


def test_the_record_is_of_all_architectures_and_checks() -> None:
    record = read_record()["architectures"]
    assert list(record) == list(ARCHITECTURES)
    assert len(record) >= 40
    for name, entry in record.items():
        assert list(entry["checks"]) == list(CHECKS), name


def test_nothing_is_wrong_in_silence() -> None:
    """A model does right, does it more slowly, or is refused with a message."""
    record = read_record()["architectures"]
    wrong = {
        f"{name}, {column}": words
        for name, entry in record.items()
        for column, (result, words) in entry["checks"].items()
        if result == "fails"
    }
    assert wrong == {}
