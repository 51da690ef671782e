"""Line charts as inline SVG: pure functions from numbers to text, coloured by the page's style sheet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

COLOURS = 8
"""Colours of series in the style sheet; further series have the same ones, dashed."""
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 46
TICKS = 6
"""Approximate number of ticks of an axis."""


@dataclass(frozen=True)
class Series:
    """A line of a chart."""

    name: str
    """What it is, in words."""
    number: int
    """Chooses the colour and the dashes."""
    points: Sequence[tuple[float, float]]
    """Pairs of x and y; a pair with NaN breaks the line."""
    mark: tuple[float, float] | None = None
    """A point of it to mark."""
    mark_title: str = ""
    """What that point is."""


def series_class(number: int) -> str:
    """The style sheet's classes for this series."""
    return f"s{number % COLOURS} d{number // COLOURS % 3}"


def ticks(low: float, high: float, about: int = TICKS, whole: bool = False) -> list[float]:
    """About ``about`` round numbers, or whole ones, from ``low`` to ``high``; only ``low`` if the two are the same."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(power * factor for factor in factors if power * factor >= rough * 0.999)
    step = max(step, 1) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(step * number, 12) for number in range(first, last + 1)]


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    lowest: float | None = None,
    whole: bool = False,
) -> Markup:
    """A chart of lines over common axes that fit the points.

    Args:
        title: what it shows, for screen readers.
        series: the lines; without any finite point nothing is drawn.
        x_label: below the horizontal axis.
        y_label: next to the vertical axis.
        size: width and height, in the units of the SVG.
        lowest: where the vertical axis begins, if not at the lowest point.
        whole: whether the horizontal axis has only whole numbers.

    Returns:
        An ``<svg>`` element, or nothing.
    """
    finite = [p for line in series for p in (*line.points, line.mark) if p is not None and _finite(p)]
    if not finite:
        return Markup("")
    xs, ys = [x for x, _ in finite], [y for _, y in finite]
    x_low, x_high = _widened(min(xs), max(xs))
    y_low, y_high = _widened(min(ys) if lowest is None else min(lowest, *ys), max(ys))
    width, height = size
    inner_width, inner_height = width - LEFT - RIGHT, height - TOP - BOTTOM

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = LEFT + inner_width * (point[0] - x_low) / (x_high - x_low)
        return round(x, 1), round(TOP + inner_height * (1 - (point[1] - y_low) / (y_high - y_low)), 1)

    about = max(4, inner_width // 90)
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']
    for x in ticks(x_low, x_high, about, whole):
        at = place((x, y_low))[0]
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        parts.append(f'<text x="{at}" y="{height - BOTTOM + 17}" text-anchor="middle">{x:g}</text>')
    for y in ticks(y_low, y_high):
        at = place((x_low, y))[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{y:g}</text>')
    middle, side = LEFT + inner_width / 2, TOP + inner_height / 2
    parts.append(f'<text x="{middle}" y="{height - 8}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(f'<text transform="translate(14 {side}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    for line in series:
        parts += _drawn(line, place)
    return Markup("\n".join([*parts, "</svg>"]))


def _drawn(line: Series, place: Callable[[tuple[float, float]], tuple[float, float]]) -> list[str]:
    """The elements of one line: its pieces, and its mark."""
    pieces: list[list[str]] = [[]]
    for point in line.points:
        if _finite(point):
            x, y = place(point)
            pieces[-1].append(f"{x},{y}")
        elif pieces[-1]:
            pieces.append([])
    drawn = [f'<g class="series {series_class(line.number)}"><title>{escape(line.name)}</title>']
    for piece in pieces:
        if len(piece) == 1:  # a line of one point is invisible
            across, _, down = piece[0].partition(",")
            drawn.append(f'<circle cx="{across}" cy="{down}" r="3"/>')
        elif piece:
            drawn.append(f'<polyline points="{" ".join(piece)}"/>')
    if line.mark is not None and _finite(line.mark):
        x, y = place(line.mark)
        drawn.append(f'<circle cx="{x}" cy="{y}" r="5"><title>{escape(line.mark_title)}</title></circle>')
    return [*drawn, "</g>"]


def _finite(point: tuple[float, float]) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _widened(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis, which must differ."""
    if high > low:
        return low, high
    margin = abs(low) * 0.1 or 0.5
    return low - margin, high + margin
