"""PAR and PAMR pixel by pixel, thresholds of each class, and joining labels with masks, as the papers' code has it."""

import numpy as np

AROUND = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]


def softmax(values):
    exponentials = np.exp(values - values.max())
    return exponentials / exponentials.sum()


def neighbours(dilations, y, x, height, width):
    """Places of a pixel's neighbours; beyond the border those of the border."""
    return [
        (min(max(y + dy * d, 0), height - 1), min(max(x + dx * d, 0), width - 1))
        for d in dilations
        for dy, dx in AROUND
    ]


def weights(image, settings, y, x, par):
    """Weights of a pixel's neighbours in an image (H, W, 3), float64."""
    places = neighbours(settings.dilations, y, x, *image.shape[:2])
    around = np.array([image[place] for place in places])  # (N, 3)
    if not par:
        cells = np.concatenate([around, np.repeat(image[None, y, x], len(settings.dilations), axis=0)])
        return softmax(-(np.abs(around - image[y, x]) / (1e-8 + settings.width * cells.std(0, ddof=1))).mean(1))
    distances = np.array([d * np.hypot(dy, dx) for d in settings.dilations for dy, dx in AROUND])
    by_colour = softmax(-(((around - image[y, x]) / ((around.std(0, ddof=1) + 1e-8) * settings.width)) ** 2).mean(1))
    by_distance = softmax(-((distances / ((distances.std(ddof=1) + 1e-8) * settings.width)) ** 2))
    return by_colour + settings.distance_weight * by_distance


def averaged(image, maps, settings, par):
    """Maps (C, H, W) after all iterations."""
    height, width = image.shape[:2]
    pixels = [(y, x) for y in range(height) for x in range(width)]
    shares = {pixel: weights(image, settings, *pixel, par) for pixel in pixels}
    for _ in range(settings.iterations):
        before, maps = maps, np.zeros_like(maps)
        for pixel in pixels:
            places = neighbours(settings.dilations, *pixel, height, width)
            for share, place in zip(shares[pixel], places, strict=True):
                maps[(slice(None), *pixel)] += share * before[(slice(None), *place)]
    return maps


def thresholded(scores, objects, background, lowest):
    """Per pixel of scores (L, H, W), background first: the one label above its threshold, or -1."""
    _, height, width = scores.shape
    cuts = [
        max(lowest, max(of_label.ravel().tolist()) * (background if at == 0 else objects))
        for at, of_label in enumerate(scores)
    ]
    result = np.full((height, width), -1)
    for y in range(height):
        for x in range(width):
            above = [at for at, cut in enumerate(cuts) if scores[at, y, x] > cut]
            if len(above) == 1:
                result[y, x] = above[0]
    return result


def joined(labels, masks, settings):
    """Labels (H, W) joined with masks (M, H, W) bool."""
    ignored = np.iinfo(labels.dtype).max
    result, free = np.zeros_like(labels), list(masks)
    for number in sorted(set(labels.ravel().tolist()) - {0, ignored}):
        own = labels == number
        taken = [
            (own & mask).sum() > settings.share_of_mask * mask.sum()
            or (settings.share_of_class is not None and (own & mask).sum() / own.sum() >= settings.share_of_class)
            for mask in free
        ]
        covered = np.zeros(labels.shape, bool)
        for mask, took in zip(free, taken, strict=True):
            covered |= mask
            if took:
                result[mask] = number
        if settings.keep_uncovered:
            result[own & ~covered] = number
        free = [mask for mask, took in zip(free, taken, strict=True) if not took]
    if settings.keep_ignored:
        result[(labels == ignored) & (result == 0)] = ignored
    return result
