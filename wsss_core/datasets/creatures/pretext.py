"""Pictures of coloured patterns for pretraining a small trunk, as large ones are pretrained on ImageNet.

The pretext set replaces ImageNet for the generated data set (docs/creatures.md): a trunk learns to distinguish colours
and textures of shapes on textured backgrounds. It shows no creature: no body shape, limb or head, and no picture of the
data set. It does share drawing code with the creatures: backgrounds, camera, and the textures of their bodies (stripes,
checks and blobs).
"""

import numpy as np

from wsss_core.datasets.creatures.drawing import (
    BACKGROUNDS,
    SUPERSAMPLING,
    background,
    blobs,
    checks,
    clip_window,
    ellipse_level,
    hsv_colour,
    local_window,
    photograph,
    stripes,
)


def _rings(along: np.ndarray, across: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Circles around the middle of the object."""
    return np.sin(2 * np.pi * (np.hypot(along, across) + generator.uniform())) > 0


HUES = ("orange", "lime", "mint", "azure", "violet", "rose")
"""Parts of the colour circle. The hues of the creatures' heads lie between them."""
PATTERNS = {"striped": stripes, "checked": checks, "blobbed": blobs, "ringed": _rings}
"""Two-tone textures, by their word in a class name."""
PRETEXT_CLASSES = tuple(f"{hue}_{pattern}" for pattern in PATTERNS for hue in HUES)
"""Every hue with every pattern, such as ``rose_striped``."""
SPAN = 40.0
"""Reference units along a side of a picture; a picture of creatures has 96."""


def pretext_images(images: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Draw the pretext set. Its classes alternate, so that all have the same number of pictures.

    Args:
        images: number of pictures, at least 1; a longer set begins with a shorter one.
        size: height and width, pixels; at least 16.
        seed: of the generator; the same seed gives the same pictures.

    Returns:
        uint8 (images, size, size, 3) pictures, red, green and blue; int64 (images,) class indices; the class names.

    Raises:
        ValueError: fewer than 1 picture, smaller than 16 pixels, or a negative seed.
    """
    if images < 1 or size < 16 or seed < 0:
        raise ValueError(f"expected images >= 1, size >= 16 and seed >= 0, not {images}, {size} and {seed}")
    labels = np.arange(images, dtype=np.int64) % len(PRETEXT_CLASSES)
    pictures = np.empty((images, size, size, 3), dtype=np.uint8)
    for number, label in enumerate(labels):
        # The 2 makes these random streams differ from those of the creatures' pictures.
        generator = np.random.default_rng([seed, number, 2])
        pictures[number] = _draw_pattern(generator, size, int(label))
    return pictures, labels, PRETEXT_CLASSES


def _draw_pattern(generator: np.random.Generator, size: int, label: int) -> np.ndarray:
    """A patterned shape on a background: uint8 (size, size, 3)."""
    pattern, hue_index = divmod(label, len(HUES))
    side = size * SUPERSAMPLING
    canvas = background(generator, side, BACKGROUNDS[generator.integers(3)], SPAN)
    radius = SPAN * generator.uniform(0.16, 0.45)
    centre = (
        SPAN * (0.5 + generator.uniform(-0.15, 0.15)),
        SPAN * (0.5 + generator.uniform(-0.15, 0.15)),
    )
    rows, columns, along, across = local_window(side, centre, generator.uniform(0, 2 * np.pi), 1.2 * radius, SPAN)
    on_canvas, in_window = clip_window(side, rows, columns)
    along, across = along[in_window], across[in_window]
    shape = _shape(generator, along / radius, across / radius)
    # Periods in the range of object parts, whatever this object's size.
    period = min(generator.uniform(5.0, 8.0), 1.1 * radius)
    tone = list(PATTERNS.values())[pattern](along / period, across / period, generator)
    hue = (hue_index + 0.5 + generator.uniform(-0.4, 0.4)) / len(HUES)
    saturation = generator.uniform(0.3, 1.0)
    light = hsv_colour(hue, saturation, generator.uniform(0.7, 1.0))
    dark = hsv_colour(hue, saturation, generator.uniform(0.2, 0.35))
    canvas[on_canvas][shape] = np.where(tone[..., None], light, dark)[shape]
    return photograph(generator, canvas)


def _shape(generator: np.random.Generator, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """An ellipse, a rounded box or a shape with three to six lobes, of random proportions."""
    across = across / generator.uniform(0.5, 1.0)
    kind = generator.integers(3)
    if kind < 2:
        return ellipse_level(along, across, (2.0, 5.0)[kind]) < 1
    lobes = np.cos(generator.integers(3, 7) * np.arctan2(across, along))
    return np.hypot(along, across) < 0.8 + 0.2 * lobes
