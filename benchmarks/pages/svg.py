"""Plots as SVG text: bars, grouped columns and lines, in light and dark, the same bytes every time."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from msgspec import Struct

WIDTH = 720
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 64, 48
PLOT_HEIGHT = 220
BAR_HEIGHT, BAR_STEP = 20, 34
LABEL_WIDTH, VALUE_WIDTH = 230, 110
WIDE = 50
"""From this ratio of the largest to the smallest value on, the scale is logarithmic."""
TICKS = 5
SERIES = 6
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px } .faint { fill: #59636e; font-size: 12px }
.grid { stroke: #d1d9e0 } .line { fill: none !important; stroke-width: 2 }
.s0 { fill: #0969da; stroke: #0969da } .s1 { fill: #bc4c00; stroke: #bc4c00 }
.s2 { fill: #1a7f37; stroke: #1a7f37 } .s3 { fill: #8250df; stroke: #8250df }
.s4 { fill: #9a6700; stroke: #9a6700 } .s5 { fill: #6e7781; stroke: #6e7781 }
rect { stroke: none !important }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .faint { fill: #9198a1 } .grid { stroke: #3d444d }
.s0 { fill: #4493f8; stroke: #4493f8 } .s1 { fill: #f0883e; stroke: #f0883e }
.s2 { fill: #3fb950; stroke: #3fb950 } .s3 { fill: #ab7df8; stroke: #ab7df8 }
.s4 { fill: #d29922; stroke: #d29922 } .s5 { fill: #9198a1; stroke: #9198a1 }
}
"""
"""A series' class sets fill and stroke; `line` and `rect` take away what they do not want."""


class Axes(Struct, frozen=True, kw_only=True):
    """What the two axes of a line plot show."""

    x: str
    y: str
    log_x: bool = False
    names: tuple[str, ...] = ()
    """Instead of numbers on the x axis: what stands at 0, 1, 2, ..."""


class Scale:
    """Where a value lies between the two ends of an axis; from zero, or logarithmic."""

    def __init__(self, values: Sequence[float], *, log: bool) -> None:
        """Begins at zero or a power of ten and ends a little after the largest value."""
        self.log = log
        top = max(values, default=0) or 1
        if log:
            low = min(value for value in values if value > 0)
            first = math.floor(math.log10(low) + 1e-9)
            last = max(math.ceil(math.log10(top) - 1e-9), first + 1)
            self.ticks = [10.0**power for power in range(first, last + 1)]
        else:
            step = _round_step(top / (TICKS - 1))
            self.ticks = [nth * step for nth in range(math.ceil(top / step - 1e-9) + 1)]

    def share(self, value: float) -> float:
        """0 at the beginning of the axis, 1 at its end."""
        first, last = self.ticks[0], self.ticks[-1]
        if self.log:
            first, last, value = (math.log10(v) for v in (first, last, max(value, first)))
        return (value - first) / (last - first)


def number(value: float) -> str:
    """As people read it: 12,345 or 0.0123; three digits are enough where there is a fraction."""
    if value == int(value) or abs(value) >= 1000:  # noqa: PLR2004  three digits, as said above
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def bars(title: str, rows: Sequence[tuple[str, float]], unit: str) -> str:
    """One bar for each row, from zero; the first is ours and stands out."""
    scale = Scale([value for _, value in rows], log=False)
    room = WIDTH - LABEL_WIDTH - VALUE_WIDTH
    parts = []
    for nth, (label, value) in enumerate(rows):
        y = TOP + nth * BAR_STEP
        width = room * value / scale.ticks[-1]
        parts += [
            _text(LABEL_WIDTH - 10, y + 15, label, anchor="end"),
            _box(LABEL_WIDTH, y, width, BAR_HEIGHT, 0 if nth == 0 else SERIES - 1),
            _text(LABEL_WIDTH + width + 8, y + 15, number(value), anchor="start"),
        ]
    said = "; ".join(f"{label} {number(value)}" for label, value in rows)
    height = TOP + len(rows) * BAR_STEP + 8
    return _document(title, f"Bars, {unit}: {said}", height, [_unit(unit), *parts])


def columns(
    title: str, groups: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str
) -> str:
    """For each group a column of each series, side by side."""
    values = [value for row in series.values() for value in row if value]
    wide = bool(values) and max(values) / min(values) > WIDE
    scale = Scale(values, log=wide)
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    width = min(48.0, room * 0.8 / len(series))
    bottom = TOP + PLOT_HEIGHT
    parts = [*_legend(series), *_rungs(scale), _unit(unit + (", log scale" if wide else ""))]
    for nth, group in enumerate(groups):
        middle = LEFT + (nth + 0.5) * room
        parts.append(_text(middle, bottom + 20, group, anchor="middle"))
        for place, row in enumerate(series.values()):
            value = row[nth]
            if value is None:
                continue
            x = middle + (place - len(series) / 2) * width
            height = PLOT_HEIGHT * scale.share(value)
            parts.append(_box(x + 1, bottom - height, width - 2, height, place))
            label = _text(x + width / 2, bottom - height - 4, number(value), anchor="middle")
            parts.append(label)
    said = "; ".join(
        f"{name}: " + ", ".join("not measured" if v is None else number(v) for v in row)
        for name, row in series.items()
    )
    described = f"Columns for {', '.join(groups)}, {unit}: {said}"
    return _document(title, described, bottom + BOTTOM, parts)


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]], axes: Axes) -> str:
    """A line through the points of each series; a point is marked where there are few."""
    points = [point for row in series.values() for point in row]
    y_scale = Scale([y for _, y in points], log=False)
    xs = sorted({x for x, _ in points})
    x_scale = Scale(xs, log=True) if axes.log_x else None
    span = (xs[-1] - xs[0]) or 1
    room, bottom = WIDTH - LEFT - RIGHT, TOP + PLOT_HEIGHT

    def place(x: float, y: float) -> tuple[float, float]:
        share = x_scale.share(x) if x_scale else (x - xs[0]) / span
        # Some air at both sides, so that a mark or a label is never cut.
        return LEFT + room * (0.04 + 0.92 * share), bottom - PLOT_HEIGHT * y_scale.share(y)

    parts = [*(_legend(series) if len(series) > 1 else []), *_rungs(y_scale), _unit(axes.y)]
    for x, label in _under(xs, axes, x_scale):
        parts.append(_text(place(x, 0)[0], bottom + 20, label, anchor="middle"))
    parts.append(_text(WIDTH - RIGHT, bottom + 40, axes.x, anchor="end", faint=True))
    for nth, row in enumerate(series.values()):
        placed = [place(x, y) for x, y in row]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline class="s{nth % SERIES} line" points="{path}"/>')
        if len(placed) <= 2 * TICKS:
            parts += [
                f'<circle class="s{nth % SERIES}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
                for x, y in placed
            ]
    said = "; ".join(
        f"{name}: {number(row[0][1])} to {number(row[-1][1])}, at most "
        f"{number(max(y for _, y in row))}"
        for name, row in series.items()
    )
    return _document(title, f"Lines, {axes.y} over {axes.x}. {said}", bottom + BOTTOM, parts)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(
        step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= least * 0.999
    )


def _under(xs: list[float], axes: Axes, scale: Scale | None) -> list[tuple[float, str]]:
    if axes.names:
        return [(float(nth), name) for nth, name in enumerate(axes.names)]
    if scale is not None or len(xs) <= TICKS:
        return [(x, number(x)) for x in xs]
    first, span = xs[0], xs[-1] - xs[0]
    shown = [first + span * nth / (TICKS - 1) for nth in range(TICKS)]
    return [(x, number(round(x, 1))) for x in shown]


def _rungs(scale: Scale) -> list[str]:
    parts = []
    for tick in scale.ticks:
        y = TOP + PLOT_HEIGHT * (1 - scale.share(tick))
        parts.append(
            f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
        )
        parts.append(_text(LEFT - 8, y + 4, number(tick), anchor="end", faint=True))
    return parts


def _legend(names: Mapping[str, object]) -> list[str]:
    parts, x = [], float(WIDTH - RIGHT)
    for nth, name in reversed(list(enumerate(names))):
        x -= 7.5 * len(name) + 28
        parts += [_box(x, 34, 12, 12, nth), _text(x + 17, 45, name, anchor="start")]
    return parts


def _unit(unit: str) -> str:
    return _text(12, 45, unit, anchor="start", faint=True)


def _box(x: float, y: float, width: float, height: float, series: int) -> str:
    return (
        f'<rect class="s{series % SERIES}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}"/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str, faint: bool = False) -> str:
    marked = ' class="faint"' if faint else ""
    return f'<text{marked} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _document(title: str, described: str, height: float, parts: Sequence[str]) -> str:
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" '
        f'height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}" aria-labelledby="title desc">'
    )
    heading = (
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(described)}</desc>',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="12" y="22">{escape(title)}</text>',
    )
    return "\n".join((opening, *heading, *parts, "</svg>\n"))
