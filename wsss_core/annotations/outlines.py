"""Polygons around regions, in the form of annotation tools: simple, without holes."""

from collections.abc import Iterator

import contourpy
import numpy as np
from scipy import ndimage

from wsss_core.datasets.coco.coco_masks import run_lengths

DECIMALS = 2
"""Decimals of a point's coordinates in pixels."""
FINEST = 0.1
"""A smaller tolerance counts as 0: exact outlines have steps of half a pixel."""
AREA_LOST = 0.1
"""Share of its area that a part may lose or gain by simplification."""


def outlines(region: np.ndarray, tolerance: float = 0.0) -> list[np.ndarray]:
    """Polygons that cover a region.

    A region with holes is cut through each hole, because annotation tools do not support polygons with holes. The edges
    are halfway between pixel centres, so that with a ``tolerance`` of 0, :func:`filled` gives exactly the region.

    Args:
        region: bool (H, W).
        tolerance: how far an outline may be from the exact one to have fewer points, pixels.

    Returns:
        Each (N, 2) float, N >= 3: x and y, pixels; the upper left corner of the image is (0, 0), and the first pixel's
        centre (0.5, 0.5). The first point is not repeated at the end.
    """
    return [_with_fewer_points(piece, tolerance) for piece in _pieces(region, 0, 0)]


def filled(polygon: np.ndarray, size: tuple[int, int]) -> dict[str, object]:
    """The pixels with their centre inside a polygon, as run lengths.

    Args:
        polygon: (N, 2), as from :func:`outlines`.
        size: height and width of the image.

    Raises:
        ValueError: it is not a polygon of this image.
    """
    return run_lengths([np.asarray(polygon, float).ravel().tolist()], *size)


def _with_fewer_points(exact: np.ndarray, tolerance: float) -> np.ndarray:
    """The outline within ``tolerance``, or within less if a small or thin part would lose its area."""
    while tolerance >= FINEST:
        polygon = simplified(exact, tolerance)
        if len(polygon) >= 3 and abs(_area(polygon) - _area(exact)) <= AREA_LOST * _area(exact):
            return polygon
        tolerance /= 2
    return simplified(exact, 0)


def _area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def _pieces(region: np.ndarray, left: int, top: int) -> Iterator[np.ndarray]:
    """The exact outlines of all parts of a region with its corner at (left, top)."""
    numbered, _ = ndimage.label(region)
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbered), start=1):
        part = numbered[rows, columns] == number
        hole = _first_hole(part)
        if hole is None:
            yield from _outer(part, left + columns.start, top + rows.start)
            continue
        for half in (slice(None, hole), slice(hole, None)):
            corner = left + columns.start + (half.start or 0)
            yield from _pieces(part[:, half], corner, top + rows.start)


def _first_hole(part: np.ndarray) -> int | None:
    """A column through the first hole of a connected part; None if it has no hole."""
    # Pixels connected to the frame, even diagonally, are outside: a part's own pixels are connected by their sides.
    outside, number = ndimage.label(np.pad(~part, 1, constant_values=True), structure=np.ones((3, 3)))
    if number == 1:
        return None
    columns = ndimage.find_objects(outside)[1][1]
    return int((columns.start + columns.stop) // 2) - 1


def _outer(part: np.ndarray, left: int, top: int) -> Iterator[np.ndarray]:
    """The outline of a connected part without holes."""
    lines = contourpy.contour_generator(z=np.pad(part, 1).astype(float)).lines(0.5)
    for line in lines:
        # Padding moved the centres by a pixel; they are half a pixel from the corner.
        yield np.asarray(line)[:-1] - 0.5 + np.array([left, top])


def simplified(polygon: np.ndarray, tolerance: float) -> np.ndarray:
    """The polygon without points that it does not need within ``tolerance`` (Douglas and Peucker, 1973).

    Args:
        polygon: (N, 2).
        tolerance: pixels; with 0, only points on a straight line between others are left out.

    Returns:
        (M, 2), M <= N, rounded to ``DECIMALS``.
    """
    number = len(polygon)
    far = int(((polygon - polygon[0]) ** 2).sum(axis=1).argmax())
    closed = np.concatenate([polygon, polygon[:1]])
    kept = {0, far}
    waiting = [(0, far), (far, number)]
    while waiting:
        first, last = waiting.pop()
        between = closed[first + 1 : last]
        if len(between) == 0:
            continue
        distances = _distances(between, closed[first], closed[last])
        place = int(distances.argmax())
        if distances[place] > max(tolerance, 1e-9):
            kept.add(first + 1 + place)
            waiting += [(first, first + 1 + place), (first + 1 + place, last)]
    return np.round(polygon[sorted(kept)], DECIMALS)


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distances of points (N, 2) to the segment between two others."""
    along = end - start
    length = float(along @ along)
    place = ((points - start) @ along / length).clip(0, 1) if length else np.zeros(len(points))
    return np.hypot(*(points - start - place[:, None] * along).T)
