"""Class maps similar to those of CAM methods: sums over scales of coarse positive maps, enlarged smoothly."""

from pathlib import Path

import numpy as np

from wsss_core.files.cam_store import CAM_STRIDE, ImageCams

NETWORK_STRIDE = 16
"""Pixels for each cell of the network's output, in both directions."""
SCALES = (1.0, 0.5, 1.5, 2.0)
"""Sizes of the image, as multiples of its own."""


def make_cams(seed: int, height: int, width: int, classes: int | None = None) -> ImageCams:
    """Maps of one object for each class, with texture and zeros as in real maps.

    Args:
        seed: of the random numbers.
        height: of the image, pixels.
        width: of the image, pixels.
        classes: number of maps, up to 20; by default random, 1 to 3.
    """
    random = np.random.default_rng(seed)
    number = int(random.integers(1, 4)) if classes is None else classes
    cam = np.zeros((number, -(-height // CAM_STRIDE), -(-width // CAM_STRIDE)), np.float32)
    high_res = np.zeros((number, height, width), np.float32)
    for of_class, of_class_in_full in zip(cam, high_res, strict=True):
        centre, spread = random.uniform(0.2, 0.8, 2), random.uniform(0.08, 0.25, 2)
        for scale in SCALES:
            rows, columns = (-(-int(side * scale) // NETWORK_STRIDE) for side in (height, width))
            down, across = np.linspace(0, 1, rows)[:, None], np.linspace(0, 1, columns)
            distance = ((down - centre[0]) / spread[0]) ** 2 + ((across - centre[1]) / spread[1]) ** 2
            texture = random.normal(-0.2, 0.3, (rows, columns))
            coarse = np.maximum(3 * np.exp(-distance / 2) + texture, 0)  # (rows, columns)
            of_class += _resized(coarse, *of_class.shape)
            of_class_in_full += _resized(coarse, height, width)
    for maps in (cam, high_res):
        maps /= maps.max(axis=(1, 2), keepdims=True) + 1e-5
    indices = np.sort(random.permutation(20)[:number]).astype(np.int16)
    return ImageCams(f"image_{seed:06d}", indices, cam, high_res, height, width)


def no_work(image_path: Path, classes: np.ndarray, class_maps: np.ndarray) -> np.ndarray:
    """Replaces a function that makes label maps; in this module, because it is imported as fast as the real ones."""
    return classes


def _resized(coarse: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation to (height, width)."""
    rows, columns = coarse.shape
    across = np.array([np.interp(_positions(width, columns), np.arange(columns), row) for row in coarse])
    return np.array([np.interp(_positions(height, rows), np.arange(rows), column) for column in across.T]).T


def _positions(length: int, cells: int) -> np.ndarray:
    return (np.arange(length) + 0.5) * cells / length - 0.5
