"""Random changes of images for training, and of their label maps to match."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from wsss_core.config.training import Augmentation
from wsss_core.datasets.label_values import ignored_in
from wsss_core.datasets.transforms import normalise, rescaled_size, resize


class TrainingTransform:
    """Changes the size, crop, mirroring and colours of an image at random, and its label map to match.

    All randomness comes from torch's global generator.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        """Take the settings."""
        self.augmentation = augmentation

    def __call__(self, image: np.ndarray, labels: np.ndarray | None = None) -> tuple[Tensor, Tensor | None]:
        """Change an image at random.

        Args:
            image: (H, W, 3) uint8 RGB.
            labels: (H, W) uint8 or uint16, or None.

        Returns:
            The image, (3, crop, crop) float32 normalised, padded with zeros (the mean colour) if it is smaller than
            the crop; and its labels, (crop, crop) int64, padded with 255 (65535 for uint16), or None.
        """
        crop = self.augmentation.crop
        # Always the same number of draws, whether or not all are used.
        size_draw, flip_draw, top_draw, left_draw, *colour_draws = torch.rand(11).tolist()
        if self.augmentation.area is not None:
            box = random_part(image.shape[0], image.shape[1], self.augmentation.area)
            image, labels = image[box], None if labels is None else labels[box]
            height, width = size = (crop, crop)
        else:
            scale = self._scale(max(image.shape[:2]), size_draw)
            height, width = size = rescaled_size(image.shape[0], image.shape[1], scale)
        top, top_pad = _place(height, crop, top_draw)
        left, left_pad = _place(width, crop, left_draw)
        flipped = self.augmentation.flip and flip_draw < 0.5

        def cut(pixels: np.ndarray, filter_: Image.Resampling) -> np.ndarray:
            pixels = resize(pixels, size, filter_)
            pixels = pixels[:, ::-1] if flipped else pixels
            return pixels[top : top + crop, left : left + crop]

        part = self._jitter(cut(image, Image.Resampling.BICUBIC), colour_draws)
        rows, columns = (slice(pad, pad + n) for pad, n in zip((top_pad, left_pad), part.shape[:2], strict=True))
        if part.shape[:2] == (crop, crop):
            pixels = normalise(part)
        else:
            pixels = torch.zeros(3, crop, crop)
            pixels[:, rows, columns] = normalise(part)
        if self.augmentation.erasing > 0 and torch.rand(()) < self.augmentation.erasing:
            erase(pixels)
        if labels is None:
            return pixels, None
        classes = np.full((crop, crop), ignored_in(labels), dtype=np.int64)
        classes[rows, columns] = cut(labels, Image.Resampling.NEAREST)
        return pixels, torch.from_numpy(classes)

    def _scale(self, long_side: int, draw: float) -> float:
        """The factor by which this image is resized; ``draw`` is uniform in [0, 1)."""
        if self.augmentation.long_side is not None:
            smallest, largest = self.augmentation.long_side
            return (smallest + int(draw * (largest - smallest + 1))) / long_side
        if self.augmentation.scale is not None:
            low, high = self.augmentation.scale
            return low + draw * (high - low)
        if self.augmentation.scales is not None:
            return self.augmentation.scales[int(draw * len(self.augmentation.scales))]
        return 1.0

    def _jitter(self, image: np.ndarray, draws: list[float]) -> np.ndarray:
        """Change colours of (H, W, 3) uint8; seven draws, uniform in [0, 1)."""
        brightness, contrast, saturation, hue, order, whether, grey = draws
        if grey < self.augmentation.greyscale_probability:
            image = np.repeat(
                np.asarray(Image.fromarray(np.ascontiguousarray(image)).convert("L"))[..., None], 3, axis=2
            )
        share, hue_share = self.augmentation.colour_jitter, self.augmentation.hue_jitter
        hue_share = share / 3 if hue_share is None else hue_share
        if (share == 0 and hue_share == 0) or whether >= self.augmentation.jitter_probability:
            return image
        steps = [
            lambda pixels: functional.adjust_brightness(pixels, 1 + share * (2 * brightness - 1)),
            lambda pixels: functional.adjust_contrast(pixels, 1 + share * (2 * contrast - 1)),
            lambda pixels: functional.adjust_saturation(pixels, 1 + share * (2 * saturation - 1)),
            lambda pixels: functional.adjust_hue(pixels, hue_share * (2 * hue - 1)),
        ]
        pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())  # (3, H, W)
        number = int(order * 24)  # one of the 4! orders of the four steps
        for remaining in (4, 3, 2, 1):
            number, chosen = divmod(number, remaining)
            pixels = steps.pop(chosen)(pixels)
        return pixels.numpy().transpose(1, 2, 0)


def random_part(height: int, width: int, area: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns of a random part of an image, chosen as in torchvision's ``RandomResizedCrop``.

    Args:
        height: of the image.
        width: of the image.
        area: smallest and largest share of the image's area. The part's width is 3/4 to 4/3 of its height; if ten
            drawn parts do not fit, it is the largest central one.
    """
    draws = torch.rand(10, 4, dtype=torch.float64).tolist()
    for share, shape, top, left in draws:
        pixels = (area[0] + share * (area[1] - area[0])) * height * width
        ratio = (3 / 4) * (16 / 9) ** shape
        rows, columns = round((pixels / ratio) ** 0.5), round((pixels * ratio) ** 0.5)
        if 0 < rows <= height and 0 < columns <= width:
            above, before = int(top * (height - rows + 1)), int(left * (width - columns + 1))
            return slice(above, above + rows), slice(before, before + columns)
    rows, columns = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    above, before = (height - rows) // 2, (width - columns) // 2
    return slice(above, above + rows), slice(before, before + columns)


def erase(pixels: Tensor) -> None:
    """Put noise into a random rectangle of an image (3, H, W), in place, as timm's ``RandomErasing`` by pixel.

    The rectangle has 2 % to a third of the area; its height is 0.3 to 3.3 of its width. If ten drawn ones do not fit,
    nothing is erased.
    """
    height, width = pixels.shape[1:]
    for share, shape, top, left in torch.rand(10, 4, dtype=torch.float64).tolist():
        erased = (0.02 + share * (1 / 3 - 0.02)) * height * width
        ratio = 0.3 * (1 / 0.3**2) ** shape
        rows, columns = round((erased * ratio) ** 0.5), round((erased / ratio) ** 0.5)
        if 0 < rows < height and 0 < columns < width:
            above, before = int(top * (height - rows + 1)), int(left * (width - columns + 1))
            pixels[:, above : above + rows, before : before + columns] = torch.randn(3, rows, columns)
            return


def _place(length: int, crop: int, draw: float) -> tuple[int, int]:
    """Where the crop starts in an image of this length, and where the image starts in the crop."""
    start = int(draw * (abs(length - crop) + 1))
    return (start, 0) if length >= crop else (0, start)
