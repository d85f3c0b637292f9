"""Charts read as a person reads them: marks against the numbers on their axes.

What would break: a bar, a point or a whisker of the report stands at another height than its
number, stands for another name, or lies outside the picture.
"""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montessori.report import svg

VALUE = st.floats(-1e4, 1e4, allow_nan=False).map(lambda value: round(value, 2))
NAMES = ["base", "self-instruct", "montessori-1"]
MINUS = "\u2212"


def parse(text: str) -> Element:
    """The picture as a tree."""
    return ElementTree.fromstring(text)


def number_of(text: str) -> float:
    """The number that a label shows."""
    return float(text.replace(MINUS, "-").replace(",", "").replace("+", ""))


def labels(chart: Element, anchor: str, kind: str = "soft") -> list[tuple[float, float, float]]:
    """(x, y, number) of the numbers of an axis: soft text with this anchor."""
    found = []
    for text in chart.iter("text"):
        right = text.get("text-anchor") == anchor and text.get("class", "") == kind
        if right and re.fullmatch(rf"[{MINUS}+]?[\d.,]+(e[{MINUS}\d]+)?", text.text or ""):
            found.append((float(text.get("x")), float(text.get("y")), number_of(text.text)))
    return found


def scale(ticks: list[tuple[float, float]]):
    """The value at a coordinate, from two or more (coordinate, number) of an axis.

    Ticks lie at round numbers with at most three digits, so they say exactly where they are.
    """
    (first, low), (last, high) = min(ticks), max(ticks)
    assert first != last
    return lambda place: low + (place - first) / (last - first) * (high - low)


def near(found: float, wanted: float, ticks: list[tuple[float, float]]) -> bool:
    """Whether two values differ by less than coordinates are rounded to (0.1 units)."""
    (first, low), (last, high) = min(ticks), max(ticks)
    unit = abs((high - low) / (last - first))
    return abs(found - wanted) <= 0.3 * unit + 1e-9


# ------------------------------------------------------------------------------- intervals
ESTIMATE = st.tuples(VALUE, st.floats(0.01, 50), st.floats(0.01, 50))


@settings(max_examples=40)
@given(st.lists(ESTIMATE, min_size=1, max_size=4))
def test_points_and_whiskers_stand_at_their_numbers(estimates):
    rows = [
        svg.Interval(f"run {n}", value, value - below, value + above, colour=n)
        for n, (value, below, above) in enumerate(estimates)
    ]
    chart = parse(svg.interval_chart(rows, "differences"))
    ticks = [(x, number) for x, _, number in labels(chart, "middle")]
    if len(ticks) < 2:
        return
    read = scale(ticks)
    circles = list(chart.iter("circle"))
    whiskers = [line for line in chart.iter("line") if line.get("class") == "whisker"]
    zero = next(line for line in chart.iter("line") if line.get("class") == "zero")
    assert near(read(float(zero.get("x1"))), 0.0, ticks)
    for row, circle, whisker in zip(rows, circles, whiskers, strict=True):
        assert near(read(float(circle.get("cx"))), row.value, ticks)
        assert near(read(float(whisker.get("x1"))), row.low, ticks)
        assert near(read(float(whisker.get("x2"))), row.high, ticks)
        assert circle.get("cy") == whisker.get("y1") == whisker.get("y2")


def test_a_row_of_intervals_has_its_name_its_value_and_its_colour():
    rows = [svg.Interval("one", 1.25, 0.5, 2.0, 0), svg.Interval("two", -3.0, None, None, 7)]
    chart = parse(svg.interval_chart(rows, "differences"))
    texts = [text.text for text in chart.iter("text")]
    assert texts.index("one") < texts.index("+1.2") < texts.index("two")
    assert f"{MINUS}3.0" in texts
    colours = [circle.get("style") for circle in chart.iter("circle")]
    assert colours == ["fill:var(--s0)", "fill:var(--s1)"], "the seventh colour is the first again"
    assert sum(line.get("class") == "whisker" for line in chart.iter("line")) == 1


# ------------------------------------------------------------------------------------ lines
POINTS = st.lists(st.tuples(VALUE, VALUE), min_size=2, max_size=6)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(NAMES), POINTS, min_size=1))
def test_curves_go_through_their_points(series):
    chart = parse(svg.line_chart(series, "loss", "step", "loss"))
    across = [(x, number) for x, _, number in labels(chart, "middle")]
    up = [(y - 4, number) for _, y, number in labels(chart, "end")]
    if len(across) < 2 or len(up) < 2:
        return
    read_x, read_y = scale(across), scale(up)
    lines = list(chart.iter("polyline"))
    for points, line in zip(series.values(), lines, strict=True):
        drawn = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
        assert len(drawn) == len(points)
        for (x, y), (a, b) in zip(drawn, points, strict=True):
            assert near(read_x(x), a, across)
            assert near(read_y(y), b, up)


def test_a_point_that_is_no_number_is_left_away_and_the_others_stay():
    chart = parse(svg.line_chart({"a": [(0, 1.0), (1, math.inf), (2, 3.0)]}, "t", "x", "y"))
    (line,) = chart.iter("polyline")
    assert len(line.get("points").split()) == 2


@settings(max_examples=40)
@given(st.lists(st.none() | VALUE, min_size=2, max_size=3))
def test_steps_stand_above_their_names(row):
    names = NAMES[: len(row)]
    chart = parse(svg.step_chart(names, {"mean": row}, "rounds", "accuracy"))
    up = [(y - 4, number) for _, y, number in labels(chart, "end")]
    places = {text.text: float(text.get("x")) for text in chart.iter("text")}
    known = [(name, value) for name, value in zip(names, row, strict=True) if value is not None]
    circles = list(chart.iter("circle"))
    for (name, value), circle in zip(known, circles, strict=True):
        assert float(circle.get("cx")) == pytest.approx(places[name], abs=0.1)
        if len(up) > 1:
            assert near(scale(up)(float(circle.get("cy"))), value, up)


# ------------------------------------------------------------------------------------- bars
@settings(max_examples=40)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=9))
def test_bars_of_a_histogram_rise_from_zero_to_their_count(counts):
    bins = [(float(n), count, n % 2) for n, count in enumerate(counts)]
    chart = parse(svg.histogram_chart(bins, "scores", "influence"))
    up = [(y - 4, number) for _, y, number in labels(chart, "end")]
    bars = list(chart.iter("rect"))
    assert [bar.get("style") for bar in bars] == [f"fill:var(--s{colour})" for _, _, colour in bins]
    if len(up) < 2:
        return
    read = scale(up)
    for (_, count, _), bar in zip(bins, bars, strict=True):
        top, height = float(bar.get("y")), float(bar.get("height"))
        assert near(read(top), count, up)
        assert near(read(top + height), 0.0, up)


@settings(max_examples=40)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=8, unique=True))
def test_bars_of_a_histogram_stand_at_their_position_and_zero_is_marked(positions):
    chart = parse(svg.histogram_chart([(x, 3, 0) for x in positions], "scores", "influence"))
    centres = [float(bar.get("x")) + float(bar.get("width")) / 2 for bar in chart.iter("rect")]
    order = sorted(range(len(positions)), key=positions.__getitem__)
    drawn = [centres[n] for n in order]
    assert all(left <= right + 0.11 for left, right in pairwise(drawn))
    marked = any(line.get("class") == "zero" for line in chart.iter("line"))
    if min(positions) < 0 < max(positions):
        assert marked


def test_grouped_bars_by_hand():
    """Two groups of two series; where a series has no number its bar has no length."""
    rows = {"sums": {"one": 40.0, "two": 10.0}, "words": {"two": 20.0}}
    chart = parse(svg.grouped_bars(rows, "families"))
    *bars, legend_one, legend_two = list(chart.iter("rect"))
    widths = [float(bar.get("width")) for bar in bars]
    assert widths[0] == pytest.approx(4 * widths[1], abs=0.2)
    assert widths[3] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[2] == 0.0
    colours = [bar.get("style") for bar in bars]
    assert colours == ["fill:var(--s0)", "fill:var(--s1)"] * 2
    texts = [text.text for text in chart.iter("text")]
    assert texts == ["sums", "40", "10", "words", "0", "20", "one", "two"]
    assert (legend_one.get("style"), legend_two.get("style")) == tuple(colours[:2])


# ------------------------------------------------------------------------------ in the picture
LONG = ["a very long name of a run", "b", "another very long name of a run", "c"]


@pytest.mark.parametrize(
    "chart",
    [
        svg.interval_chart([svg.Interval(name, 1.0, 0.0, 2.0) for name in LONG], "t"),
        svg.line_chart({name: [(0, 1.0), (5, 2.0)] for name in LONG}, "t", "x", "y"),
        svg.step_chart(LONG, {name: [1.0, 2.0, 3.0, 4.0] for name in LONG}, "t", "y"),
        svg.histogram_chart([(x / 7, 3, 0) for x in range(-9, 9)], "t", "x"),
        svg.grouped_bars({name: {name: 3.0} for name in LONG}, "t"),
    ],
    ids=["intervals", "lines", "steps", "histogram", "groups"],
)
def test_nothing_is_drawn_outside_the_picture(chart):
    tree = parse(chart)
    _, _, width, height = map(float, tree.get("viewBox").split())
    for shape in tree.iter():
        for name, most in (
            ("x", width),
            ("x1", width),
            ("cx", width),
            ("y", height),
            ("cy", height),
        ):
            place = shape.get(name)
            assert place is None or -0.1 <= float(place) <= most + 0.1, (shape.tag, name, place)


@given(st.floats(0.001, 1e6), st.integers(4, 8))
def test_ticks_are_round_in_order_and_inside_the_axis(width, about):
    axis = svg.Axis(low=-width / 3, high=width, start=0.0, end=100.0)
    ticks = axis.tick_values(about)
    assert 2 <= len(ticks) <= 3 * about
    assert all(axis.low - 1e-6 * width <= tick <= axis.high + 1e-6 * width for tick in ticks)
    steps = [second - first for first, second in pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-6)
    digits = f"{steps[0]:.3e}".split("e")[0]
    assert float(digits) in (1.0, 2.0, 5.0)
