"""Shapes, textures, backgrounds and camera effects of generated pictures.

Everything works on a canvas: float32 (H, W, 3), red, green and blue, 0 to 1. Lengths are in reference units: an image
side has 96 whatever its size in pixels, so that a picture looks the same at every size.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

REFERENCE_SIDE = 96.0
"""Reference units along a side of an image."""
SUPERSAMPLING = 2
"""Canvas pixels along each side of an image pixel; averaging them smooths the edges."""

Texture = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""Maps positions (in periods of the texture) to True for its light and False for its dark tone."""


def hsv_colour(hue: float, saturation: float, value: float) -> np.ndarray:
    """The colour float32 (3,) of a hue (any real number, one turn is 1) and two values 0 to 1."""
    corners = (np.array([5.0, 3.0, 1.0]) + hue * 6.0) % 6.0
    weight = np.clip(np.minimum(corners, 4.0 - corners), 0.0, 1.0)
    return (value * (1.0 - saturation * weight)).astype(np.float32)


def smooth_noise(generator: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]) -> np.ndarray:
    """Random hills: float32 (H, W), mean about 0, values between about -1.2 and 1.2.

    Args:
        generator: source of randomness.
        shape: height and width, pixels.
        cell: distance between neighbouring hills down and across, pixels.
    """
    rows, columns = (max(2, int(np.ceil(n / c)) + 1) for n, c in zip(shape, cell, strict=True))
    coarse = generator.uniform(-1, 1, (rows, columns)).astype(np.float32)
    image = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)


def stripes(along: np.ndarray, across: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Bands across the first direction, at a random phase."""
    return np.sin(2 * np.pi * (along + generator.uniform())) > 0


def checks(along: np.ndarray, across: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A chequerboard at a random phase."""
    shift = generator.uniform(size=2)
    return (np.sin(2 * np.pi * (along + shift[0])) > 0) ^ (np.sin(2 * np.pi * (across + shift[1])) > 0)


def blobs(along: np.ndarray, across: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Irregular patches: the sum of waves in five directions, cut at its middle."""
    angles = np.pi * (np.arange(5) + generator.uniform(-0.3, 0.3, 5)) / 5
    phases = generator.uniform(0, 2 * np.pi, 5)
    total = np.zeros_like(along)
    for angle, phase in zip(angles, phases, strict=True):
        total += np.sin(2 * np.pi * (np.cos(angle) * along + np.sin(angle) * across) + phase)
    return total > 0


def ellipse_level(along: np.ndarray, across: np.ndarray, exponent: float = 2.0) -> np.ndarray:
    """Below 1 within the unit circle, above 1 outside; exponents over 2 make it boxier."""
    if exponent == 2.0:
        return along**2 + across**2
    return np.abs(along) ** exponent + np.abs(across) ** exponent


def within_segment(
    along: np.ndarray,
    across: np.ndarray,
    start: tuple[float, float],
    end: tuple[float, float],
    radius: float,
) -> np.ndarray:
    """Where positions are nearer than ``radius`` to the segment from ``start`` to ``end``."""
    step = (end[0] - start[0], end[1] - start[1])
    offset = (along - start[0], across - start[1])
    share = (offset[0] * step[0] + offset[1] * step[1]) / (step[0] ** 2 + step[1] ** 2)
    share = np.clip(share, 0, 1)
    return (offset[0] - share * step[0]) ** 2 + (offset[1] - share * step[1]) ** 2 < radius**2


def local_window(
    side: int,
    centre: tuple[float, float],
    angle: float,
    reach: float,
    span: float = REFERENCE_SIDE,
) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """The part of a canvas around a point, and positions in a frame turned by ``angle``.

    Args:
        side: height and width of the canvas, canvas pixels.
        centre: row and column of the frame's origin, reference units.
        angle: the direction of the frame's first axis, radians.
        reach: the window holds everything nearer than this to the centre, reference units.
        span: reference units along a side of the canvas.

    Returns:
        Row slice and column slice of the window, which may extend beyond the canvas, even to negative starts (see
        ``clip_window``); and float32 (h, w) positions along the first and the second axis, reference units.
    """
    pixel = span / side
    starts = [int(np.floor((c - reach) / pixel)) for c in centre]
    count = int(np.ceil(2 * reach / pixel)) + 1
    steps = np.arange(count, dtype=np.float32) + np.float32(0.5)
    rows = ((starts[0] + steps) * pixel - centre[0]).astype(np.float32)[:, None]
    columns = ((starts[1] + steps) * pixel - centre[1]).astype(np.float32)[None, :]
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along = columns * cosine + rows * sine
    across = rows * cosine - columns * sine
    return slice(starts[0], starts[0] + count), slice(starts[1], starts[1] + count), along, across


def clip_window(side: int, rows: slice, columns: slice) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """For a window that may extend beyond the canvas: the part of the canvas, and the matching part of the window."""
    canvas, window = [], []
    for part in (rows, columns):
        start, stop = max(part.start, 0), min(part.stop, side)
        canvas.append(slice(start, max(start, stop)))
        window.append(slice(start - part.start, max(start, stop) - part.start))
    return (canvas[0], canvas[1]), (window[0], window[1])


BACKGROUNDS = ("water", "grass", "ground")
"""Kinds of textured background: horizontal waves, upright blades and crumbs."""

_BACKGROUND_LOOK = {
    # hue, saturation, cell of the fine texture (down, across; reference units)
    "water": (0.56, 0.42, (2.5, 12.0)),
    "grass": (0.27, 0.48, (9.0, 2.0)),
    "ground": (0.09, 0.38, (2.5, 2.5)),
}


def background(generator: np.random.Generator, side: int, kind: str, span: float = REFERENCE_SIDE) -> np.ndarray:
    """A textured surface with a sky above a horizon: float32 (side, side, 3), 0 to 1.

    Args:
        generator: source of randomness.
        side: height and width of the canvas, canvas pixels.
        kind: one of ``BACKGROUNDS``.
        span: reference units along a side of the canvas.
    """
    unit = side / span
    hue, saturation, cell = _BACKGROUND_LOOK[kind]
    fine_cell = (cell[0] * unit, cell[1] * unit)
    brightness = 0.13 * smooth_noise(generator, (side, side), fine_cell)
    brightness += 0.10 * smooth_noise(generator, (side, side), (22 * unit, 22 * unit))
    base = hsv_colour(
        hue + generator.uniform(-0.03, 0.03),
        saturation + generator.uniform(-0.08, 0.08),
        generator.uniform(0.48, 0.68),
    )
    surface = base * (1.0 + brightness[..., None] / 0.58)
    horizon = side * generator.uniform(0.0, 0.35)
    sky = hsv_colour(0.58, generator.uniform(0.05, 0.25), generator.uniform(0.75, 0.95))
    height = max(2, int(horizon))
    clouds = 0.08 * smooth_noise(generator, (height, side), (10 * unit, 30 * unit))
    surface[:height] = sky * (1.0 + clouds[..., None])
    return surface


def photograph(generator: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Photograph a canvas: uneven light, a colour cast, smoothed edges and pixel noise.

    Args:
        generator: source of randomness.
        canvas: float32 (side, side, 3), 0 to 1, side a multiple of ``SUPERSAMPLING``.

    Returns:
        uint8 (side / SUPERSAMPLING, side / SUPERSAMPLING, 3).
    """
    size = canvas.shape[0] // SUPERSAMPLING
    fine = canvas.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING * 3)
    rows = fine.sum(axis=1).reshape(size, size, SUPERSAMPLING, 3)
    image = rows.sum(axis=2) / SUPERSAMPLING**2
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    slope = generator.uniform(-0.18, 0.18, 2).astype(np.float32)
    light = np.float32(generator.uniform(0.8, 1.12)) + slope[0] * ramp[:, None] + slope[1] * ramp
    cast = generator.uniform(0.9, 1.1, 3).astype(np.float32)
    image = image * light[..., None] * cast
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    image += np.float32(generator.uniform(0.02, 0.05)) * noise
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
