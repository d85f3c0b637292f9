"""Small charts as SVG text: no library, readable on light and dark ground.

Colours come from CSS classes (`STYLE`), so that one page can style all charts; `standalone` puts
the style into the picture for use outside a page. All sizes are SVG user units; a chart is `WIDTH`
wide and scales with its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from montessori.compare.sentences import format_signed

WIDTH = 460.0
TEXT = 7.0  # width of an average character; words with many an m are wider
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
    """A labelled estimate with its interval (None where there is none)."""

    label: str
    value: float
    low: float | None
    high: float | None
    colour: int = 0


@dataclass(frozen=True)
class Axis:
    """A linear map from data to a stretch of the picture, with round tick values."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The coordinate of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside the range, about as many as asked for."""
        step = _round_step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def axis(values: Sequence[float], start: float, end: float, *, zero: bool = False) -> Axis:
    """An axis that holds all finite values with a margin, and zero if wanted."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high == 0.0:
        high = 1.0
    margin = (high - low) * 0.06 or abs(high) * 0.1
    return Axis(low - (margin if low else 0.0), high + (margin if high else 0.0), start, end)


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1.0, 2.0, 5.0) if raw <= m * power * 1.001), 10.0 * power)


def number(value: float) -> str:
    """A short number: whole from a thousand on, else 3 significant digits, no needless zeros."""
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "\u2212")


def intervals(rows: Sequence[Interval], title: str) -> str:
    """Points with whiskers around a zero line, one row each, the value at the right."""
    left = min(170.0, 12 + TEXT * max((len(row.label) for row in rows), default=0))
    ends = [v for row in rows for v in (row.value, row.low, row.high) if v is not None]
    x = axis(ends, left, WIDTH - 52, zero=True)
    height = 24.0 * len(rows) + 30
    body = [_vertical_grid(x, height - 22), _line(x.at(0), 4, x.at(0), height - 22, "zero")]
    for index, row in enumerate(rows):
        body.append(_interval_row(row, 18.0 + 24 * index, x, left))
    return _frame(height, body, title)


def _interval_row(row: Interval, y: float, x: Axis, left: float) -> str:
    stroke = f"stroke:var(--s{row.colour % COLOURS})"
    parts = [_text(left - 8, y + 4, row.label, "end")]
    if row.low is not None and row.high is not None:
        parts.append(_line(x.at(row.low), y, x.at(row.high), y, "whisker", stroke))
    fill = f"fill:var(--s{row.colour % COLOURS})"
    parts.append(f'<circle cx="{x.at(row.value):.1f}" cy="{y:.1f}" r="4.5" style="{fill}"/>')
    parts.append(_text(WIDTH - 4, y + 4, format_signed(row.value), "end"))
    return "".join(parts)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]], title: str, x_label: str, y_label: str
) -> str:
    """Curves over a numeric axis, with a legend below. Points that are not finite are left out."""
    finite = {name: _finite(points) for name, points in series.items()}
    x = axis([p[0] for points in finite.values() for p in points], 48, WIDTH - 12)
    y = axis([p[1] for points in finite.values() for p in points], 190, 22)
    body = [_horizontal_grid(y, 48), _text(4, 12, y_label, "start", "soft")]
    body += [_text(x.at(t), 206, number(t), "middle", "soft") for t in x.ticks()]
    body.append(_text(WIDTH - 12, 222, x_label, "end", "soft"))
    for index, points in enumerate(finite.values()):
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in points)
        stroke = f"stroke:var(--s{index % COLOURS})"
        body.append(f'<polyline class="line" style="{stroke}" points="{path}"/>')
    legend, height = _legend(list(finite), 240)
    return _frame(height, [*body, legend], title)


def steps(
    names: Sequence[str], series: Mapping[str, Sequence[float | None]], title: str, y_label: str
) -> str:
    """Values of named steps (runs in order): one line with points for each series."""
    values = [v for row in series.values() for v in row if v is not None]
    y = axis(values, 180, 22)
    gap = (WIDTH - 68 - 56) / max(1, len(names) - 1)
    body = [_horizontal_grid(y, 48), _text(4, 12, y_label, "start", "soft")]
    for index, name in enumerate(names):
        body.append(_text(68 + gap * index, 200 + 13 * (index % 2), name, "middle", "soft"))
    for index, row in enumerate(series.values()):
        points = [(68 + gap * i, y.at(v)) for i, v in enumerate(row) if v is not None]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        style = f"var(--s{index % COLOURS})"
        body.append(f'<polyline class="line" style="stroke:{style}" points="{path}"/>')
        body += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" style="fill:{style}"/>' for a, b in points
        ]
    legend, height = _legend(list(series), 234)
    return _frame(height, [*body, legend], title)


def histogram(bins: Sequence[tuple[float, float, int]], title: str, x_label: str) -> str:
    """Bars of (position, count, colour) on a numeric axis; neighbours touch."""
    x = axis([b[0] for b in bins], 48, WIDTH - 16)
    y = axis([b[1] for b in bins], 180, 14, zero=True)
    width = (WIDTH - 64) / max(8, len({b[0] for b in bins})) * 0.9
    body = [_horizontal_grid(y, 48)]
    for position, count, colour in bins:
        top = y.at(count)
        body.append(_bar(x.at(position) - width / 2, top, width, y.at(0) - top, colour))
    body += [_text(x.at(t), 196, number(t), "middle", "soft") for t in x.ticks()]
    if x.low < 0 < x.high:
        body.append(_line(x.at(0), 10, x.at(0), 180, "zero"))
    body.append(_text(WIDTH - 12, 212, x_label, "end", "soft"))
    return _frame(220, body, title)


def groups(rows: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Horizontal bars: a group for each key of `rows`, a bar for each named series in it."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    left = min(150.0, 12 + TEXT * max((len(key) for key in rows), default=0))
    x = axis([v for row in rows.values() for v in row.values()], left, WIDTH - 46, zero=True)
    body, y = [], 6.0
    for key, row in rows.items():
        body.append(_text(left - 8, y + 5 * len(names) + 4, key, "end"))
        for index, name in enumerate(names):
            value = row.get(name, 0.0)
            end = x.at(value)
            body.append(_bar(left, y + 10 * index, end - left, 8, index))
            body.append(_text(end + 4, y + 10 * index + 8, number(value), "start", "soft", 9))
        y += 10 * len(names) + 10
    legend, height = _legend(names, y + 12)
    return _frame(height, [*body, legend], title)


def standalone(chart: str) -> str:
    """A chart as a file of its own, with its style and the XML name space."""
    head, _, rest = chart.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}</style>{rest}\n'


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]


def _frame(height: float, body: Sequence[str], title: str) -> str:
    name = escape(title)
    return (
        f'<svg class="chart" role="img" aria-label="{name}" viewBox="0 0 {WIDTH:.0f} {height:.0f}">'
        f"<title>{name}</title>{''.join(body)}</svg>"
    )


def _legend(names: Sequence[str], top: float) -> tuple[str, float]:
    """Coloured names, broken into lines; the text and the height of the picture."""
    parts, x, y = [], 10.0, top
    for index, name in enumerate(names):
        width = 26 + TEXT * len(name)
        if x + width > WIDTH and x > 10:
            x, y = 10.0, y + 18
        parts.append(_bar(x, y - 9, 10, 10, index) + _text(x + 15, y, name, "start"))
        x += width
    return "".join(parts), y + 10


def _vertical_grid(x: Axis, bottom: float) -> str:
    ticks = x.ticks(6)
    marks = [_line(x.at(t), 4, x.at(t), bottom, "grid") for t in ticks]
    names = [_text(x.at(t), bottom + 15, number(t), "middle", "soft") for t in ticks]
    return "".join(marks + names)


def _horizontal_grid(y: Axis, left: float) -> str:
    ticks = y.ticks(4)
    marks = [_line(left, y.at(t), WIDTH - 12, y.at(t), "grid") for t in ticks]
    names = [_text(left - 6, y.at(t) + 4, number(t), "end", "soft") for t in ticks]
    return "".join(marks + names)


def _bar(x: float, y: float, width: float, height: float, colour: int) -> str:
    fill = f"fill:var(--s{colour % COLOURS})"
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} rx="1" style="{fill}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str, style: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{kind}" {ends}' + (f' style="{style}"/>' if style else "/>")


def _text(x: float, y: float, text: str, anchor: str, kind: str = "", size: int = 12) -> str:
    name = f' class="{kind}"' if kind else ""
    small = f' font-size="{size}"' if size != 12 else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}{name}{small}>{escape(text)}</text>"
