"""The charts: coordinates by hand, well-formed, nothing unescaped, nothing that fails.

What would break: a point stands at another height than its number, or a name with `<` breaks the
page.
"""

import math
from xml.etree import ElementTree

import pytest

from montessori.report import svg

CHARTS = {
    "intervals": lambda name: svg.interval_chart(
        [svg.Interval(name, 5.0, 2.0, 8.0), svg.Interval("b", -1.0, None, None)], name
    ),
    "lines": lambda name: svg.line_chart(
        {name: [(0, 1.0), (1, math.nan), (2, 3.0)]}, name, name, name
    ),
    "steps": lambda name: svg.step_chart([name, "b"], {name: [1.0, None]}, name, name),
    "histogram": lambda name: svg.histogram_chart([(-1e-6, 3, 1), (2e-6, 9, 0)], name, name),
    "groups": lambda name: svg.grouped_bars({name: {name: 4.0, "b": 0.0}, "c": {"b": 1.0}}, name),
}


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_charts_are_well_formed_and_escape_names(chart) -> None:
    text = svg.standalone_chart(chart('<script>"x"&</script>'))
    assert "<script>" not in text
    ElementTree.fromstring(text)
    assert "nan" not in text


EMPTY = {
    "intervals": lambda: svg.interval_chart([], ""),
    "lines": lambda: svg.line_chart({}, "", "", ""),
    "one point": lambda: svg.line_chart({"a": [(1.0, 1.0)]}, "", "", ""),
    "steps": lambda: svg.step_chart([], {}, "", ""),
    "histogram": lambda: svg.histogram_chart([], "", ""),
    "groups": lambda: svg.grouped_bars({}, ""),
}


@pytest.mark.parametrize("chart", EMPTY.values(), ids=EMPTY)
def test_charts_without_data_are_charts(chart) -> None:
    ElementTree.fromstring(chart())


def test_axis_maps_ends_and_middle() -> None:
    axis = svg.Axis(low=0.0, high=10.0, start=100.0, end=200.0)
    assert [axis.place(value) for value in (0, 5, 10)] == [100, 150, 200]
    assert axis.tick_values(5) == [0, 2, 4, 6, 8, 10]


def test_axis_with_zero_holds_zero_and_all_values() -> None:
    axis = svg.fit_axis([3.0, 7.0, math.inf], 0.0, 1.0, zero=True)
    assert axis.low == 0.0
    assert axis.high > 7.0


@pytest.mark.parametrize(
    ("value", "text"), [(1234.0, "1,234"), (-0.5, "\u22120.5"), (2e-6, "2e\u22126"), (100.0, "100")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert svg.short_number(value) == text
