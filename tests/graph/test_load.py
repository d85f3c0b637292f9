"""params.yaml as typed sections: every unknown, missing or ill-typed key at once.

What would break: a misspelt key is ignored and its default taken, or problems come one by one, a
run apart.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from montessori.errors import MontessoriError
from montessori.graph.load import apply_row_changes, read_section, read_yaml, require_section


@dataclass(frozen=True)
class Inner:
    rate: float
    kind: Literal["a", "b", 3] = "a"


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner
    words: tuple[str, ...]
    flag: bool
    limit: float | None = None
    shares: dict[str, float] | None = None

    def check(self) -> list[str]:
        return [] if self.count > 0 else [f"count: {self.count} is not above 0"]


GOOD = {"count": 3, "inner": {"rate": 1}, "words": ["x", "y"], "flag": True}


def test_a_section_becomes_its_dataclass():
    made = require_section({"outer": {**GOOD, "shares": {"a": 1}}}, "outer", Outer)
    assert made == Outer(3, Inner(1.0), ("x", "y"), True, None, {"a": 1.0})
    assert isinstance(made.inner.rate, float)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"count": 1.5}, "outer.count: 1.5 (float) is not a whole number"),
        ({"count": True}, "outer.count: True (bool) is not a whole number"),
        ({"count": "3"}, "outer.count: '3' (str) is not a whole number"),
        ({"count": 0}, "outer.count: 0 is not above 0"),
        ({"flag": 1}, "outer.flag: 1 (int) is not true or false"),
        ({"words": "xy"}, "outer.words: 'xy' (str) is not a list"),
        ({"words": ["x", 2]}, "outer.words[1]: 2 (int) is not a text"),
        ({"inner": {"rate": "fast"}}, "outer.inner.rate: 'fast' (str) is not a number"),
        ({"inner": {"rate": 1, "kind": "c"}}, "outer.inner.kind: 'c' (str) is not one of a, b, 3"),
        ({"inner": 7}, "outer.inner: 7 (int) is not a mapping of keys to values"),
        ({"inner": None}, "outer.inner: None (NoneType) is not a mapping"),
        ({"inner": {}}, "outer.inner.rate: key is missing"),
        ({"limit": "x"}, "outer.limit: 'x' (str) is not a number"),
        ({"shares": {"a": "b"}}, "outer.shares.a: 'b' (str) is not a number"),
        ({"cuont": 1}, "outer.cuont: unknown key (did you mean count?)"),
    ],
)
def test_what_does_not_fit_names_its_key(change: dict[str, Any], problem: str):
    with pytest.raises(MontessoriError) as caught:
        require_section({"outer": {**GOOD, **change}}, "outer", Outer)
    assert problem in str(caught.value)
    assert "params.yaml" in str(caught.value)
    assert "next: " in str(caught.value)


def test_all_problems_come_together():
    raw = {"outer": {"count": "x", "inner": {"rate": None, "more": 1}, "wrods": [1]}}
    made, problems = read_section(raw, "outer", Outer)
    assert made is None
    assert len(problems) == 6
    assert [p.split(":")[0] for p in problems[:3]] == ["outer.wrods", "outer.words", "outer.flag"]


def test_a_missing_section_lists_its_keys():
    with pytest.raises(MontessoriError, match=r"outer: section is missing .keys count, inner"):
        require_section({}, "outer", Outer)


def test_a_mapping_of_rows_can_be_read():
    assert require_section({"rows": {"a": {"rate": 2}}}, "rows", dict[str, Inner]) == {
        "a": Inner(2.0)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "not valid YAML"),
        ("a: 1\na: 2\n", "duplicate key"),
        ("- 1\n", "no sections"),
        ("", "no sections"),
        (None, "file not found"),
    ],
)
def test_a_file_that_is_no_params_file(tmp_path: Path, text: str | None, expected: str):
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MontessoriError) as caught:
        read_yaml(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_floats_are_read_with_and_without_a_point(tmp_path: Path):
    (tmp_path / "p.yaml").write_text("a: 5e-6\nb: 5.0e-6\nc: on\n")
    assert read_yaml(tmp_path / "p.yaml") == {"a": 5e-6, "b": 5e-6, "c": "on"}


def test_a_row_of_the_first_section_that_has_it_changes_settings():
    raw = {
        "dpo": {"beta": 1, "epochs": 2},
        "rounds": {"a": {"dpo": {"beta": 3}}, "b": {}},
        "alignments": {"c": {"dpo": {"beta": 4}}},
    }
    both = ("rounds", "alignments")
    assert apply_row_changes(raw, "dpo", both, "a")["dpo"] == {"beta": 3, "epochs": 2}
    assert apply_row_changes(raw, "dpo", both, "c")["dpo"] == {"beta": 4, "epochs": 2}
    assert (
        apply_row_changes(raw, "dpo", "rounds", "c")
        is apply_row_changes(raw, "dpo", "", "a")
        is raw
    )
    assert apply_row_changes(raw, "dpo", both, "b") is raw


def test_numbers_have_a_largest_one():
    for value in (10**13, 10**400, 1e300, -1e300):
        _, problems = read_section({"a": {"rate": value}}, "a", Inner)
        assert len(problems) == 1
        assert problems[0].startswith("a.rate: ")
    _, problems = read_section({"a": {"count": 10**30}}, "a", Outer)
    assert "a.count: a number of 31 digits is beyond 1,000,000,000,000, the largest" in problems[-1]


def test_reports_are_short_whatever_is_wrong():
    wrong = {"rate": "x" * 1_000_000, **{f"k{i}": 1 for i in range(20_000)}}
    with pytest.raises(MontessoriError) as caught:
        require_section({"a": wrong}, "a", Inner)
    assert len(str(caught.value)) < 20_000
    assert "20,001 problems" in str(caught.value)
    assert "more" in str(caught.value)
    with pytest.raises(MontessoriError) as caught:
        require_section({"a": {"rate": "x" * 1_000_000}}, "a", Inner)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("text", ["a: 2026-99-99", "? {a: b}\n: 1"])
def test_what_the_library_trips_over_is_no_valid_yaml(tmp_path: Path, text: str):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(MontessoriError, match="not valid YAML"):
        read_yaml(tmp_path / "params.yaml")
