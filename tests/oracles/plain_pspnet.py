"""Pyramid pooling and the upsampling decoder of CCT, a value at a time.

Sources: Zhao et al. (CVPR 2017, section 3.2), Shi et al. (CVPR 2016, equation 4).
"""

import math
from collections.abc import Mapping

import numpy as np


def plain_average(features: np.ndarray, cells: int) -> np.ndarray:
    """(C, h, w) averaged over cells whose borders are rounded outwards: (C, cells, cells)."""
    channels, height, width = features.shape
    result = np.zeros((channels, cells, cells))
    for c in range(channels):
        for i in range(cells):
            for j in range(cells):
                rows = range(math.floor(i * height / cells), math.ceil((i + 1) * height / cells))
                columns = range(math.floor(j * width / cells), math.ceil((j + 1) * width / cells))
                result[c, i, j] = np.mean([features[c, y, x] for y in rows for x in columns])
    return result


def plain_enlarged(features: np.ndarray, height: int, width: int) -> np.ndarray:
    """(C, h, w) to (C, height, width), bilinear between the centres of places."""

    def neighbours(place: int, length: int, wanted: int) -> tuple[int, int, float]:
        centre = min(max((place + 0.5) * length / wanted - 0.5, 0), length - 1)
        first = math.floor(centre)
        return first, min(first + 1, length - 1), centre - first

    result = np.zeros((features.shape[0], height, width))
    for y in range(height):
        top, bottom, down = neighbours(y, features.shape[1], height)
        for x in range(width):
            left, right, along = neighbours(x, features.shape[2], width)
            upper = features[:, top, left] * (1 - along) + features[:, top, right] * along
            lower = features[:, bottom, left] * (1 - along) + features[:, bottom, right] * along
            result[:, y, x] = upper * (1 - down) + lower * down
    return result


def plain_convolution(features: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """(C, h, w) to (D, h, w) by a weight (D, C, n, n), n odd; zeros lie around the features."""
    margin = weight.shape[2] // 2
    padded = np.pad(features, ((0, 0), (margin, margin), (margin, margin)))
    result = np.zeros((weight.shape[0], *features.shape[1:]))
    for y in range(features.shape[1]):
        for x in range(features.shape[2]):
            patch = padded[:, y : y + weight.shape[2], x : x + weight.shape[3]]
            result[:, y, x] = (weight * patch).sum(axis=(1, 2, 3)) + (0 if bias is None else bias)
    return result


def _layer(features: np.ndarray, weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Convolution, batch normalisation by its statistics, ReLU."""
    made = plain_convolution(features, weights[f"{name}.0.weight"])
    mean, variance = (weights[f"{name}.1.running_{what}"][:, None, None] for what in ("mean", "var"))
    scale, offset = (weights[f"{name}.1.{what}"][:, None, None] for what in ("weight", "bias"))
    return np.maximum((made - mean) / np.sqrt(variance + 1e-5) * scale + offset, 0)


def plain_pyramid(features: np.ndarray, bins: tuple[int, ...], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the pyramid makes of one image's features (C, h, w); ``weights`` are its state dict."""
    joined = [features]
    for number, cells in enumerate(bins):
        pooled = _layer(plain_average(features, cells), weights, f"stages.{number}")
        joined.append(plain_enlarged(pooled, *features.shape[1:]))
    return _layer(np.concatenate(joined), weights, "bottleneck")


def plain_decoder(features: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores by the 1x1 convolution ``0``, then a doubling of the size for each further layer of ``weights``."""
    scores = plain_convolution(features, weights["0.weight"])
    for number in range(1, 1 + sum(name.endswith("bias") for name in weights)):
        weight, bias = (weights[f"{number}.convolution.{what}"] for what in ("weight", "bias"))
        four = np.maximum(plain_convolution(scores, weight, bias), 0)
        channels, height, width = scores.shape
        scores = np.zeros((channels, 2 * height, 2 * width))
        for c in range(channels):
            for y in range(2 * height):
                for x in range(2 * width):
                    scores[c, y, x] = four[4 * c + 2 * (y % 2) + x % 2, y // 2, x // 2]
    return scores
