"""Profiles with values that YAML knows and params.yaml has not.

What would break: a date or a list of lists of lists in a profile ends `montessori profile` in a
traceback, or is written into params.yaml as something else.
"""

from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.graph.profiles import read_profile


@pytest.mark.parametrize(
    "text",
    [
        "seed: 2026-11-30",
        "probe: {prompts: 2026-11-30}",
        "seed: !!binary aGVsbG8=",
        "seed: !!set {a, b}",
        "extra: " + "[" * 300 + "]" * 300,
    ],
)
def test_values_are_plain(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(MontessoriError) as caught:
        read_profile(tmp_path, "bad")
    assert "bad.yaml" in caught.value.where
    assert caught.value.next


def test_a_name_is_that_of_a_file_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 1")
    (tmp_path / "profiles").mkdir()
    with pytest.raises(MontessoriError, match="no profile"):
        read_profile(tmp_path / "profiles", "../params")
