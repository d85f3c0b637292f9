"""The charts: coordinates by hand, well-formed, nothing unescaped, nothing that fails.

What would break: a point stands at another height than its number, or a name with `<` breaks the
page.
"""

import math
from xml.etree import ElementTree

import pytest

from montessori.report import svg

CHARTS = {
    "intervals": lambda name: svg.intervals(
        [svg.Interval(name, 5.0, 2.0, 8.0), svg.Interval("b", -1.0, None, None)], name
    ),
    "lines": lambda name: svg.lines({name: [(0, 1.0), (1, math.nan), (2, 3.0)]}, name, name, name),
    "steps": lambda name: svg.steps([name, "b"], {name: [1.0, None]}, name, name),
    "histogram": lambda name: svg.histogram([(-1e-6, 3, 1), (2e-6, 9, 0)], name, name),
    "groups": lambda name: svg.groups({name: {name: 4.0, "b": 0.0}, "c": {"b": 1.0}}, name),
}


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_charts_are_well_formed_and_escape_names(chart) -> None:
    text = svg.standalone(chart('<script>"x"&</script>'))
    assert "<script>" not in text
    ElementTree.fromstring(text)
    assert "nan" not in text


EMPTY = {
    "intervals": lambda: svg.intervals([], ""),
    "lines": lambda: svg.lines({}, "", "", ""),
    "one point": lambda: svg.lines({"a": [(1.0, 1.0)]}, "", "", ""),
    "steps": lambda: svg.steps([], {}, "", ""),
    "histogram": lambda: svg.histogram([], "", ""),
    "groups": lambda: svg.groups({}, ""),
}


@pytest.mark.parametrize("chart", EMPTY.values(), ids=EMPTY)
def test_charts_without_data_are_charts(chart) -> None:
    ElementTree.fromstring(chart())


def test_axis_maps_ends_and_middle() -> None:
    axis = svg.Axis(low=0.0, high=10.0, start=100.0, end=200.0)
    assert [axis.at(value) for value in (0, 5, 10)] == [100, 150, 200]
    assert axis.ticks(5) == [0, 2, 4, 6, 8, 10]


def test_axis_with_zero_holds_zero_and_all_values() -> None:
    axis = svg.axis([3.0, 7.0, math.inf], 0.0, 1.0, zero=True)
    assert axis.low == 0.0
    assert axis.high > 7.0


@pytest.mark.parametrize(
    ("value", "text"), [(1234.0, "1,234"), (-0.5, "\u22120.5"), (2e-6, "2e\u22126"), (100.0, "100")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert svg.number(value) == text
