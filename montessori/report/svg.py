"""Draw small charts as SVG text, readable on light and dark ground.

The SVG is written by hand because the report is one self-contained page without scripts, which a
chart library would need. Colours come from CSS classes (`STYLE`), so that one page can style all
charts; `standalone_chart` puts the style into the picture for use outside a page. All sizes are SVG
user units; a chart is `WIDTH` wide and scales with its place.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from montessori.compare.sentences import format_signed
from montessori.errors import escape_row

WIDTH = 460.0
TEXT = 7.0  # width of an average character; text with many wide letters needs more
COLOURS = 6

STYLE = """
.chart{font:12px system-ui,sans-serif;--ink:#1f2430;--soft:#667085;--grid:#e4e7ec;
--s0:#3b64c8;--s1:#d97706;--s2:#0f9488;--s3:#c2417c;--s4:#7c5bd6;--s5:#6b8e23}
.chart text{fill:var(--ink)} .chart .soft{fill:var(--soft)} .chart .grid{stroke:var(--grid)}
.chart .zero{stroke:var(--soft);stroke-dasharray:3 3}
.chart .whisker{stroke-width:2} .chart .line{fill:none;stroke-width:2;stroke-linejoin:round}
@media (prefers-color-scheme:dark){.chart{--ink:#e6e8ee;--soft:#98a2b3;--grid:#343a46;
--s0:#7b9cf0;--s1:#f0a43c;--s2:#3dc2b4;--s3:#ee7fb2;--s4:#a98bf5;--s5:#a8c94a}}
"""


@dataclass(frozen=True)
class Interval:
    """A labelled estimate with its interval; `low` and `high` are None without one."""

    label: str
    value: float
    low: float | None
    high: float | None
    colour: int = 0


@dataclass(frozen=True)
class Axis:
    """A linear map from data values to coordinates, with round tick values."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """The coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def tick_values(self, about: int = 5) -> list[float]:
        """List about `about` round values inside the range."""
        step = _round_step((self.high - self.low) / about)
        # The small number keeps a tick at the very end of the range, which rounding may push
        # outside.
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def fit_axis(values: Sequence[float], start: float, end: float, *, zero: bool = False) -> Axis:
    """Build an axis that covers all finite values with a margin, and zero on request."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high == 0.0:
        high = 1.0
    # Equal values would give an axis of length 0. Below, an end at zero gets no margin, so that
    # bars stand on the edge.
    margin = (high - low) * 0.06 or abs(high) * 0.1
    return Axis(low - (margin if low else 0.0), high + (margin if high else 0.0), start, end)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1.0, 2.0, 5.0) if raw <= m * power * 1.001), 10.0 * power)


def short_number(value: float) -> str:
    """Format a number: whole from 1,000 on, else 3 significant digits without trailing zeros."""
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "\u2212")


def interval_chart(rows: Sequence[Interval], title: str) -> str:
    """Draw points with whiskers around a zero line, one row each, with values at the right."""
    left = min(170.0, 12 + TEXT * max((len(row.label) for row in rows), default=0))
    ends: list[float] = []
    for row in rows:
        ends += [value for value in (row.value, row.low, row.high) if value is not None]
    x = fit_axis(ends, left, WIDTH - 52, zero=True)
    height = 24.0 * len(rows) + 30
    body = [
        _vertical_grid(x, height - 22),
        _svg_line(x.place(0), 4, x.place(0), height - 22, "zero"),
    ]
    for index, row in enumerate(rows):
        body.append(_interval_row(row, 18.0 + 24 * index, x, left))
    return _svg_frame(height, body, title)


def _interval_row(row: Interval, y: float, x: Axis, left: float) -> str:
    stroke = f"stroke:var(--s{row.colour % COLOURS})"
    parts = [_svg_text(left - 8, y + 4, row.label, "end")]
    if row.low is not None and row.high is not None:
        parts.append(_svg_line(x.place(row.low), y, x.place(row.high), y, "whisker", stroke))
    fill = f"fill:var(--s{row.colour % COLOURS})"
    parts.append(f'<circle cx="{x.place(row.value):.1f}" cy="{y:.1f}" r="4.5" style="{fill}"/>')
    parts.append(_svg_text(WIDTH - 4, y + 4, format_signed(row.value), "end"))
    return "".join(parts)


def line_chart(
    series: Mapping[str, Sequence[tuple[float, float]]], title: str, x_label: str, y_label: str
) -> str:
    """Draw curves over a numeric axis, with a legend below; drops points that are not finite."""
    finite = {name: _finite_points(points) for name, points in series.items()}
    every_point = [point for points in finite.values() for point in points]
    x = fit_axis([point[0] for point in every_point], 48, WIDTH - 12)
    # SVG's y grows downwards, so the lowest value has the largest coordinate.
    y = fit_axis([point[1] for point in every_point], 190, 22)
    body = [_horizontal_grid(y, 48), _svg_text(4, 12, y_label, "start", "soft")]
    body += [_svg_text(x.place(t), 206, short_number(t), "middle", "soft") for t in x.tick_values()]
    body.append(_svg_text(WIDTH - 12, 222, x_label, "end", "soft"))
    for index, points in enumerate(finite.values()):
        path = " ".join(f"{x.place(a):.1f},{y.place(b):.1f}" for a, b in points)
        stroke = f"stroke:var(--s{index % COLOURS})"
        body.append(f'<polyline class="line" style="{stroke}" points="{path}"/>')
    legend, height = _colour_legend(list(finite), 240)
    return _svg_frame(height, [*body, legend], title)


def step_chart(
    names: Sequence[str], series: Mapping[str, Sequence[float | None]], title: str, y_label: str
) -> str:
    """Draw values of named steps (runs in order): one line with points for each series."""
    values: list[float] = []
    for row in series.values():
        values += [value for value in row if value is not None]
    y = fit_axis(values, 180, 22)
    gap = (WIDTH - 68 - 56) / max(1, len(names) - 1)
    body = [_horizontal_grid(y, 48), _svg_text(4, 12, y_label, "start", "soft")]
    for index, name in enumerate(names):
        # Neighbouring names alternate between two lines, so that long ones do not overlap.
        body.append(_svg_text(68 + gap * index, 200 + 13 * (index % 2), name, "middle", "soft"))
    for index, row in enumerate(series.values()):
        points = [(68 + gap * i, y.place(v)) for i, v in enumerate(row) if v is not None]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        style = f"var(--s{index % COLOURS})"
        body.append(f'<polyline class="line" style="stroke:{style}" points="{path}"/>')
        body += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" style="fill:{style}"/>' for a, b in points
        ]
    legend, height = _colour_legend(list(series), 234)
    return _svg_frame(height, [*body, legend], title)


def histogram_chart(bins: Sequence[tuple[float, float, int]], title: str, x_label: str) -> str:
    """Draw bars of (position, count, colour) on a numeric axis; neighbouring bars touch."""
    x = fit_axis([b[0] for b in bins], 48, WIDTH - 16)
    y = fit_axis([b[1] for b in bins], 180, 14, zero=True)
    # With few bins the bars would be as wide as blocks, hence at least 8.
    width = (WIDTH - 64) / max(8, len({b[0] for b in bins})) * 0.9
    body = [_horizontal_grid(y, 48)]
    for position, count, colour in bins:
        top = y.place(count)
        body.append(_svg_bar(x.place(position) - width / 2, top, width, y.place(0) - top, colour))
    body += [_svg_text(x.place(t), 196, short_number(t), "middle", "soft") for t in x.tick_values()]
    if x.low < 0 < x.high:
        body.append(_svg_line(x.place(0), 10, x.place(0), 180, "zero"))
    body.append(_svg_text(WIDTH - 12, 212, x_label, "end", "soft"))
    return _svg_frame(220, body, title)


def grouped_bars(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Draw horizontal bars: a group for each key of `rows`, a bar in it for each named series."""
    names: list[str] = []
    values: list[float] = []
    for row in rows.values():
        names += [name for name in row if name not in names]
        values += row.values()
    left = min(150.0, 12 + TEXT * max((len(key) for key in rows), default=0))
    x = fit_axis(values, left, WIDTH - 46, zero=True)
    body, y = [], 6.0
    for key, row in rows.items():
        body.append(_svg_text(left - 8, y + 5 * len(names) + 4, key, "end"))
        for index, name in enumerate(names):
            value = row.get(name, 0.0)
            end = x.place(value)
            body.append(_svg_bar(left, y + 10 * index, end - left, 8, index))
            body.append(
                _svg_text(end + 4, y + 10 * index + 8, short_number(value), "start", "soft", 9)
            )
        y += 10 * len(names) + 10
    legend, height = _colour_legend(names, y + 12)
    return _svg_frame(height, [*body, legend], title)


def standalone_chart(chart: str) -> str:
    """Turn a chart into a file of its own, with its style and the XML namespace."""
    # HTML needs no namespace for an inline picture; an SVG file does.
    head, _, rest = chart.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}\n'


def _finite_points(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]


def _svg_frame(height: float, body: Sequence[str], title: str) -> str:
    name = escape(escape_row(title))
    return (
        f'<svg class="chart" role="img" aria-label="{name}" viewBox="0 0 {WIDTH:.0f} {height:.0f}">'
        f"<title>{name}</title>{''.join(body)}</svg>"
    )


def _colour_legend(names: Sequence[str], top: float) -> tuple[str, float]:
    """Lay out coloured names in lines; returns the SVG and the height of the picture."""
    parts, x, y = [], 10.0, top
    for index, name in enumerate(names):
        width = 26 + TEXT * len(name)
        # A name that is wider than a line must not leave an empty line before it.
        if x + width > WIDTH and x > 10:
            x, y = 10.0, y + 18
        parts.append(_svg_bar(x, y - 9, 10, 10, index) + _svg_text(x + 15, y, name, "start"))
        x += width
    return "".join(parts), y + 10


def _vertical_grid(x: Axis, bottom: float) -> str:
    ticks = x.tick_values(6)
    marks = [_svg_line(x.place(t), 4, x.place(t), bottom, "grid") for t in ticks]
    names = [_svg_text(x.place(t), bottom + 15, short_number(t), "middle", "soft") for t in ticks]
    return "".join(marks + names)


def _horizontal_grid(y: Axis, left: float) -> str:
    ticks = y.tick_values(4)
    marks = [_svg_line(left, y.place(t), WIDTH - 12, y.place(t), "grid") for t in ticks]
    names = [_svg_text(left - 6, y.place(t) + 4, short_number(t), "end", "soft") for t in ticks]
    return "".join(marks + names)


def _svg_bar(x: float, y: float, width: float, height: float, colour: int) -> str:
    fill = f"fill:var(--s{colour % COLOURS})"
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} rx="1" style="{fill}"/>'


def _svg_line(x1: float, y1: float, x2: float, y2: float, kind: str, style: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{kind}" {ends}' + (f' style="{style}"/>' if style else "/>")


def _svg_text(x: float, y: float, text: str, anchor: str, kind: str = "", size: int = 12) -> str:
    name = f' class="{kind}"' if kind else ""
    small = f' font-size="{size}"' if size != 12 else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}{name}{small}>{escape(escape_row(text))}</text>"
