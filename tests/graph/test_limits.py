"""Limits in types: a setting outside its range is named with its key, value and limit.

What would break: a setting such as a negative rate starts a run.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from montessori.graph.limits import (
    Above,
    AtLeast,
    Commit,
    Count,
    Distinct,
    EmptyOr,
    Filled,
    Holding,
    NotBlank,
    NotNegative,
    Positive,
    PositiveShare,
    Share,
    SomeAboveZero,
    Weights,
    Whole,
    Within,
    ZeroOr,
)
from montessori.graph.load import read_section


def problems_of(kind: Any, value: Any) -> list[str]:
    """What the loader says about a section with one field `x` of this type."""
    cls = dataclass(frozen=True)(type("One", (), {"__annotations__": {"x": kind}}))
    return read_section({"s": {"x": value}}, "s", cls)[1]


@pytest.mark.parametrize(
    ("kind", "right", "wrong", "problem"),
    [
        (Count, 1, 0, "s.x: 0 is below 1"),
        (Whole, 0, -1, "s.x: -1 is below 0"),
        (Positive, 1e-9, 0.0, "s.x: 0.0 is not above 0"),
        (NotNegative, 0, -0.5, "s.x: -0.5 is below 0"),
        (Share, 1, 1.01, "s.x: 1.01 is not in [0, 1]"),
        (PositiveShare, 1.0, 0.0, "s.x: 0.0 is not in (0, 1]"),
        (Annotated[float, Within("(0, 0.5]")], 0.5, 0.6, "s.x: 0.6 is not in (0, 0.5]"),
        (Annotated[float, Within("[-1, 1)")], -1.0, 1.0, "s.x: 1.0 is not in [-1, 1)"),
        (Annotated[int, ZeroOr(8)], 0, 4, "s.x: 4 is neither 0 nor at least 8"),
        (Annotated[int, ZeroOr(8)], 8, -1, "s.x: -1 is neither 0 nor at least 8"),
        (Annotated[int, AtLeast(100)], 100, 99, "s.x: 99 is below 100"),
        (Annotated[str, Filled()], " ", "", "s.x: '' is empty"),
        (Annotated[str, NotBlank()], "a", " ", "s.x: ' ' is blank"),
        (Annotated[str, Commit()], "a" * 40, "main", "s.x: 'main' is not a commit of 40 hex"),
        (Annotated[str, Commit()], "0" * 40, "A" * 40, "is not a commit of 40 hex digits"),
        (Annotated[str, Holding("{a}")], "x{a}", "x", "s.x: 'x' does not hold {a}"),
        (Annotated[tuple[int, ...], Filled()], [1], [], "s.x: () is empty"),
        (Annotated[tuple[int, ...], Distinct()], [1, 2], [1, 1], "s.x: [1, 1] names something"),
        (Weights, {"a": 0, "b": 2}, {"a": 0}, "s.x: no weight is above 0"),
        (Weights, {"a": 1}, {"a": 1, "b": -2}, "s.x.b: -2.0 is below 0"),
        (Annotated[dict[str, float], EmptyOr(SomeAboveZero())], {}, {"a": 0}, "no weight is"),
        (tuple[Count, ...], [1, 2], [1, 0], "s.x[1]: 0 is below 1"),
        (Count | None, None, 0, "s.x: 0 is below 1"),
    ],
)
def test_a_limit_lets_the_right_value_pass_and_names_the_wrong_one(
    kind: Any, right: Any, wrong: Any, problem: str
):
    assert problems_of(kind, right) == []
    (found,) = problems_of(kind, wrong)
    assert problem in found


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 10**400])
@pytest.mark.parametrize("kind", [float, Positive, Share, dict[str, float]])
def test_a_number_is_finite(kind: Any, value: float):
    given = {"a": value} if kind == dict[str, float] else value
    (found,) = problems_of(kind, given)
    assert "is not a finite number" in found


def test_a_wrong_type_is_said_once_and_no_limit_is_asked():
    assert problems_of(Count, "many") == ["s.x: 'many' (str) is not a whole number"]
    assert problems_of(Annotated[Count, "rows"], True) == ["s.x: True (bool) is not a whole number"]


@dataclass(frozen=True)
class Two:
    low: Annotated[int, AtLeast(0), "rows"]
    high: Annotated[float, Above(0)]

    def check(self) -> list[str]:
        return [] if self.low <= self.high else [f"low: {self.low} is above {self.high}"]


@pytest.mark.parametrize(
    ("low", "high", "problems"),
    [
        (2, 3, []),
        (3, 2, ["s.low: 3 is above 2.0"]),
        (-1, 0, ["s.low: -1 is below 0", "s.high: 0.0 is not above 0"]),
        (1, -1, ["s.high: -1.0 is not above 0", "s.low: 1 is above -1.0"]),
        (-1, "x", ["s.low: -1 is below 0", "s.high: 'x' (str) is not a number"]),
    ],
)
def test_limits_and_the_rule_of_a_section_are_said_together(
    low: int, high: Any, problems: list[str]
):
    """The rule is asked where every type is right; it would compare a text otherwise."""
    assert read_section({"s": {"low": low, "high": high}}, "s", Two)[1] == problems


def test_an_interval_that_is_none_is_the_programmers_mistake():
    with pytest.raises(ValueError, match="not an interval"):
        Within("0 to 1").find_problem(0.5)
