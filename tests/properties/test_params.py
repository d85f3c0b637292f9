"""params.yaml with any valid values, and with any faults at once.

What would break: a run of hours starts with a key that was misspelt, a number that became a text,
or a second fault that shows only after the first one is fixed.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from montessori.errors import MontessoriError
from montessori.graph.edit import format_flow
from montessori.graph.load import apply_row_changes, read_section, read_yaml, require_section


@dataclass(frozen=True)
class Inner:
    """A section inside a section."""

    rate: float
    kind: Literal["cross", "best-worst", 3] = "cross"


@dataclass(frozen=True)
class Settings:
    """One key of every type that a section may have."""

    count: int
    rate: float
    name: str
    flag: bool
    inner: Inner
    words: tuple[str, ...]
    shares: dict[str, float]
    limit: float | None = None
    rule: Literal["one", "two"] = "one"
    rows: dict[str, Inner] = field(default_factory=dict)


#: Texts as people write them, and such as YAML reads as something else if they are not quoted.
HARD = (
    *("a", "a/b-1.c", "no", "on", "null", "~", "true", "1", "1e3", "5e-6", "0x1", "0o7", "1_000"),
    *("a: b", "# no comment", "", " x", '"', "it's", "{a}", "[", "2024-01-01", "é", "-", "%"),
)
TEXT = st.sampled_from(HARD) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8
)
NAME = st.from_regex(r"[a-z][a-z0-9-]{0,5}", fullmatch=True)
FLOAT = st.floats(-1e12, 1e12)
INNER = st.builds(Inner, rate=FLOAT, kind=st.sampled_from(["cross", "best-worst", 3]))
VALID = st.builds(
    Settings,
    count=st.integers(-(10**12), 10**12),
    rate=FLOAT,
    name=TEXT,
    flag=st.booleans(),
    inner=INNER,
    words=st.lists(TEXT, max_size=3).map(tuple),
    shares=st.dictionaries(NAME, FLOAT, max_size=3),
    limit=st.none() | FLOAT,
    rule=st.sampled_from(["one", "two"]),
    rows=st.dictionaries(NAME, INNER, max_size=2),
)
#: For each key a value that does not fit it, and the key that the problem has to name.
FAULTS: dict[str, list[tuple[Any, str]]] = {
    "count": [(1.5, "count"), ("3", "count"), (True, "count"), (None, "count")],
    "rate": [("fast", "rate"), (False, "rate"), ([], "rate")],
    "name": [(3, "name"), (None, "name"), (["a"], "name")],
    "flag": [(1, "flag"), ("yes", "flag"), (None, "flag")],
    "inner": [(7, "inner"), (None, "inner"), ({"rate": "x"}, "inner.rate"), ({}, "inner.rate")],
    "words": [("ab", "words"), (["a", 2], "words[1]"), ({"a": 1}, "words")],
    "shares": [([1], "shares"), ({"a": "b"}, "shares.a")],
    "limit": [("none", "limit"), ([], "limit")],
    "rule": [("three", "rule"), (1, "rule")],
    "rows": [([], "rows"), ({"r": {"rate": 1.0, "kind": "x"}}, "rows.r.kind")],
}
UNKNOWN = ("cuont", "nmae", "a_b", "learning_rate")


def written(value: Settings) -> dict[str, Any]:
    """The section as a file has it: tuples are lists."""
    return asdict(value) | {"words": list(value.words)}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALID)
def test_a_section_written_to_a_file_is_read_back(value, tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text(f"settings: {format_flow(written(value))}\n", encoding="utf-8")
    assert require_section(read_yaml(path), "settings", Settings) == value


@settings(max_examples=60)
@given(value=VALID, data=st.data())
def test_every_fault_is_found_at_once_and_names_its_key(value, data):
    """Any of the keys may be wrong, missing or unknown at the same time."""
    raw, expected = written(value), set()
    for key in data.draw(st.sets(st.sampled_from(sorted(FAULTS)))):
        wrong, named = data.draw(st.sampled_from(FAULTS[key]))
        raw[key] = wrong
        expected.add(f"settings.{named}")
    for key in data.draw(st.sets(st.sampled_from(["count", "name", "flag", "words"]))):
        del raw[key]
        expected = {name for name in expected if not name.startswith(f"settings.{key}")}
        expected.add(f"settings.{key}")
    for key in data.draw(st.sets(st.sampled_from(UNKNOWN))):
        raw[key] = 1
        expected.add(f"settings.{key}")
    made, problems = read_section({"settings": raw}, "settings", Settings)
    assert {problem.split(":")[0] for problem in problems} == expected
    assert len(problems) == len(expected)
    assert (made is None) == bool(expected)
    if expected:
        with pytest.raises(MontessoriError) as caught:
            require_section({"settings": raw}, "settings", Settings)
        assert all(problem in str(caught.value) for problem in problems)
        assert "next: " in str(caught.value)


@settings(max_examples=40)
@given(value=VALID, name=NAME)
def test_a_key_that_no_settings_class_has_is_refused(value, name):
    assume(name not in FAULTS)
    _, problems = read_section({"settings": written(value) | {name: 1}}, "settings", Settings)
    (problem,) = problems
    assert problem.startswith(f"settings.{name}: unknown key")


@settings(max_examples=40)
@given(value=VALID, changes=st.dictionaries(st.sampled_from(sorted(FAULTS)), st.integers()))
def test_a_row_replaces_the_keys_it_names_and_nothing_else(value, changes):
    """{rounds: {one: {settings: changes}}} holds for round one alone; the file stays as it is."""
    raw = {"settings": written(value), "rounds": {"one": {"settings": changes}, "two": {}}}
    before = repr(raw)
    mine = apply_row_changes(raw, "settings", "rounds", "one")
    assert mine["settings"] == written(value) | changes
    assert mine["rounds"] == raw["rounds"]
    for row in ("two", "three"):
        assert apply_row_changes(raw, "settings", "rounds", row) == raw
    assert repr(raw) == before
