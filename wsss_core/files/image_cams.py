"""The class maps of one image in memory, as CAM methods draw them and files of class maps keep them."""

from dataclasses import dataclass

import numpy as np

CAM_STRIDE = 4
"""Pixels of the image per cell of the ``cam`` that CAM methods make, each way."""
MOST_PIXELS = 2**28
"""Most pixels of an image. Pillow, which reads images, refuses more than 179 million pixels."""
MOST_STRIDE = 1024
"""Far more than any network's stride."""
_HIGHEST = 1.001
"""1, plus the rounding error of float16."""


@dataclass(frozen=True)
class ImageCams:
    """The class maps of one image."""

    image_id: str
    """The image's id."""
    classes: np.ndarray
    """(K,) int16: indices of the data set's classes that the image shows, ascending."""
    cam: np.ndarray
    """(K, ceil(height / stride), ceil(width / stride)) float32, values in [0, 1]."""
    high_res: np.ndarray | None
    """(K, height, width) float32, values in [0, 1], if the stage keeps it."""
    height: int
    """Height of the image, pixels."""
    width: int
    """Width of the image, pixels."""
    background: np.ndarray | None = None
    """(h, w) float32: the background's map, if it has walked with the others."""
    stride: int = CAM_STRIDE
    """Pixels of the image per cell of ``cam`` and ``background``, each way."""
    class_names: tuple[str, ...] = ()
    """Names of all the data set's classes, if they are known, as from a file."""

    def _repr_html_(self) -> str:
        """How a notebook shows the maps."""
        from wsss_core.files.notebook import image_cams_html  # needs Pillow, which reading maps does not

        names = self.class_names or {index: f"class {index}" for index in self.classes}
        maps = zip((names[index] for index in self.classes), self.full_size(), strict=True)
        return image_cams_html(self.image_id, self.height, self.width, maps)

    def full_size(self) -> np.ndarray:
        """The maps at the image's size: ``high_res``, or ``cam`` enlarged.

        Returns:
            (K, height, width) float32; see :func:`enlarged`.
        """
        return self.high_res if self.high_res is not None else self._enlarged(self.cam)

    def full_size_background(self) -> np.ndarray | None:
        """The background's map at the image's size, (height, width) float32, if there is one."""
        return None if self.background is None else self._enlarged(self.background[None])[0]

    def _enlarged(self, maps: np.ndarray) -> np.ndarray:
        return enlarged(maps, self.stride, self.height, self.width)


def enlarged(maps: np.ndarray, stride: int, height: int, width: int) -> np.ndarray:
    """Interpolate maps of cells to the pixels of an image.

    Args:
        maps: float (K, h, w).
        stride: pixels per cell, each way.
        height: of the image, at most ``stride * h``.
        width: of the image, at most ``stride * w``.

    Returns:
        (K, height, width) of the same dtype: enlarged by ``stride`` and cropped, with sample positions as in torch's
        ``interpolate(scale_factor=stride, mode="bilinear", align_corners=False)``.
    """
    rows = _upsampled(maps, stride, axis=1)[:, :height]
    return _upsampled(rows, stride, axis=2)[:, :, :width]


def _upsampled(maps: np.ndarray, stride: int, axis: int) -> np.ndarray:
    """Linear interpolation to ``stride`` times the length along one axis."""
    length = maps.shape[axis]
    position = (np.arange(length * stride, dtype=maps.dtype) + 0.5) / stride - 0.5
    position = position.clip(0, length - 1)
    before = position.astype(np.intp)
    share = (position - before.astype(maps.dtype)).reshape([-1 if a == axis else 1 for a in range(maps.ndim)])
    after = np.minimum(before + 1, length - 1)
    return (1 - share) * maps.take(before, axis) + share * maps.take(after, axis)


def fault_of(image: ImageCams, classes: int) -> str | None:
    """What is wrong with the class maps of an image, in words; None if nothing is.

    Args:
        image: the maps.
        classes: number of classes in the data set.
    """
    height, width, stride = image.height, image.width, image.stride
    if min(height, width, stride) < 1 or height * width > MOST_PIXELS or stride > MOST_STRIDE:
        return f"no image is {height} high and {width} wide, with a cell of its maps for {stride} pixels each way"
    shown = np.asarray(image.classes)
    if shown.ndim != 1 or shown.dtype.kind not in "iu" or (np.diff(shown.astype(np.int64)) < 1).any():
        return "'classes' must be the numbers of the image's classes, ascending"
    if len(shown) and not 0 <= shown[0] <= shown[-1] < classes:
        return f"its classes are {shown.tolist()}, but the file has {classes} classes, numbered from 0"
    small = -(-height // stride), -(-width // stride)
    shapes = {"cam": (len(shown), *small), "high_res": (len(shown), height, width), "background": small}
    for name, shape in shapes.items():
        maps = getattr(image, name)
        if maps is None and name != "cam":
            continue
        if np.shape(maps) != shape:
            return f"'{name}' has the shape {np.shape(maps)}; it must be {shape}"
        if not np.isfinite(maps).all():
            return f"'{name}' has values that are not finite"
        if maps.size and not (maps.min() >= 0 and maps.max() <= _HIGHEST):
            return f"'{name}' has values from {maps.min():.4g} to {maps.max():.4g}; they must be in [0, 1]"
    return None
