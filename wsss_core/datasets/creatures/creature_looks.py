"""The shape, texture and colours of a creature (see docs/creatures.md)."""

from dataclasses import dataclass

import numpy as np

from wsss_core.datasets.creatures.drawing import (
    Texture,
    blobs,
    checks,
    ellipse_level,
    hsv_colour,
    local_window,
    stripes,
    within_segment,
)


@dataclass(frozen=True)
class Body:
    """What the two classes of a pair share. Lengths are shares of half a body length."""

    half_width: float
    exponent: float
    taper: float
    """How much narrower the front is than the rear, -1 to 1."""
    texture: Texture
    period: float
    """Length of a period of the texture."""
    hue: float
    limbs: tuple[tuple[tuple[float, float], tuple[float, float], float], ...]
    """Start and end (along, across) and radius, on one side; the other side mirrors them."""
    area: float
    """Area of body and limbs, by which creatures of all pairs get the same size."""


@dataclass(frozen=True)
class Head:
    """What distinguishes a class from the other one of its pair."""

    hue: float
    pattern: str


BODIES = (
    Body(
        half_width=0.45,
        exponent=2.0,
        taper=-0.15,
        texture=stripes,
        period=0.36,
        hue=0.0,
        limbs=(
            ((0.45, 0.2), (0.6, 0.75), 0.075),
            ((-0.45, 0.2), (-0.65, 0.7), 0.075),
            ((-0.8, 0.0), (-1.5, 0.0), 0.11),
        ),
        area=1.8,
    ),
    Body(
        half_width=0.78,
        exponent=3.2,
        taper=0.0,
        texture=checks,
        period=0.56,
        hue=0.2,
        limbs=(((0.55, 0.5), (0.8, 1.05), 0.12), ((-0.55, 0.5), (-0.8, 1.05), 0.12)),
        area=2.97,
    ),
    Body(
        half_width=0.72,
        exponent=2.0,
        taper=0.35,
        texture=blobs,
        period=0.62,
        hue=0.88,
        limbs=(
            ((0.35, 0.4), (0.75, 0.9), 0.08),
            ((-0.55, 0.5), (-0.25, 1.15), 0.1),
            ((-0.25, 1.15), (-0.8, 1.2), 0.08),
        ),
        area=2.95,
    ),
)
"""The bodies of the class pairs (0, 3), (1, 4) and (2, 5)."""

HEADS = (
    Head(0.5, "rings"),
    Head(0.0, "bars"),
    Head(0.167, "spots"),
    Head(0.333, "halves"),
    Head(0.667, "cross"),
    Head(0.833, "wedges"),
)
"""The head of every class, in the order of ``CREATURE_CLASSES``."""

HEAD_SHARE = 0.13
"""Area of a head as a share of the area of a creature that has one."""
HUE_SHIFT = 0.04
"""How far the body hues of the two classes of a pair lie from the pair's hue, in turns."""
PERIOD_SHIFT = 0.15
"""The texture of a pair's first class is coarser by this share, and that of the second finer."""
MEAN_LENGTH = 34.0
"""Square root of the area of a medium-sized creature, reference units."""


@dataclass(frozen=True)
class Creature:
    """A creature at its place, ready to be painted."""

    class_index: int
    rows: slice
    columns: slice
    shape: np.ndarray
    head: np.ndarray
    colours: np.ndarray


def place_creature(
    generator: np.random.Generator,
    side: int,
    class_index: int,
    centre: tuple[float, float],
    headless: float,
) -> Creature:
    """Give a creature its size, direction, shape and colours."""
    body, shift = BODIES[class_index % len(BODIES)], 1 if class_index < len(BODIES) else -1
    has_head = bool(generator.uniform() >= headless)
    length = MEAN_LENGTH * generator.uniform(0.72, 1.28)
    body_share = 1 - HEAD_SHARE if has_head else 1.0
    # Body and limbs have the same size whether or not there is a head.
    unit = length * np.sqrt((1 - HEAD_SHARE) / body.area)
    head_radius = np.sqrt(HEAD_SHARE / body_share * body.area / np.pi) if has_head else 0.0
    rows, columns, along, across = local_window(side, centre, generator.uniform(0, 2 * np.pi), 1.7 * unit)
    along, across = along / np.float32(unit), across / np.float32(unit)

    half_width = body.half_width * (1 - body.taper * along)
    level = ellipse_level(along, across / np.maximum(half_width, 0.05), body.exponent)
    torso = level < 1
    limbs = np.zeros_like(torso)
    mirrored = np.abs(across)
    for start, end, radius in body.limbs:
        limbs |= within_segment(along, mirrored, start, end, radius)
    neck = 1.0 + 0.35 * head_radius
    head_along, head_across = along - neck, across
    head = head_along**2 + head_across**2 < head_radius**2

    hue = body.hue - shift * HUE_SHIFT + generator.uniform(-0.03, 0.03)
    saturation = generator.uniform(0.3, 0.5)
    light = hsv_colour(hue, saturation, generator.uniform(0.7, 0.9))
    dark = hsv_colour(hue, saturation + 0.1, generator.uniform(0.38, 0.52))
    period = body.period * (1 + shift * PERIOD_SHIFT) * generator.uniform(0.92, 1.08)
    tone = body.texture(along / period, across / period, generator)
    shade = 1.06 - 0.22 * np.minimum(level, 1)
    colours = np.where(tone[..., None], light, dark) * shade[..., None]
    colours[limbs & ~torso] = 0.75 * dark
    if has_head:
        unit_along, unit_across = head_along[head] / head_radius, head_across[head] / head_radius
        colours[head] = _head_colours(generator, HEADS[class_index], unit_along, unit_across)
    return Creature(class_index, rows, columns, torso | limbs | head, head, colours)


def _head_colours(generator: np.random.Generator, head: Head, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Colours float32 (n, 3) at positions (n,) in the unit circle of a head."""
    hue = head.hue + generator.uniform(-0.02, 0.02)
    saturation = generator.uniform(0.85, 1.0)
    light = hsv_colour(hue, saturation, generator.uniform(0.9, 1.0))
    dark = hsv_colour(hue, saturation, generator.uniform(0.28, 0.42))
    tone = _head_pattern(head.pattern, along, across)
    return np.where(tone[:, None], light, dark)


def _head_pattern(pattern: str, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """True where the unit circle of a head has its light tone."""
    if pattern == "rings":
        radius = np.hypot(along, across)
        return (radius < 0.32) | (radius > 0.66)
    if pattern == "bars":
        return np.cos(1.5 * np.pi * across) > -0.1
    if pattern == "spots":
        return (np.abs(along) - 0.42) ** 2 + (np.abs(across) - 0.42) ** 2 > 0.28**2
    if pattern == "halves":
        return across > 0
    if pattern == "cross":
        return np.minimum(np.abs(along), np.abs(across)) > 0.24
    if pattern == "wedges":
        return np.sin(3 * np.arctan2(across, along)) > 0
    raise ValueError(f"no head pattern is called {pattern!r}")
