"""CAM methods: their interface, and the registry."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.config.registry import Registry
from wsss_core.inference.scaled_images import ScaledImages, scaled_images


class CamMethod(Protocol):
    """Draws the class maps of an image."""

    def __call__(self, classifier: Any, image: np.ndarray, class_indices: Sequence[int], parameters: Any) -> SummedMaps:
        """The maps of some classes.

        Args:
            classifier: a ``ClassMapClassifier`` on its device, in evaluation mode.
            image: (H, W, 3) uint8 RGB.
            class_indices: the K classes the image shows, at least one, ascending.
            parameters: the method's settings.
        """


class SideBySideMethod(Protocol):
    """Draws the class maps of several images of one size at once: an optional second form of a method.

    Its input is the result of :func:`~wsss_core.inference.scaled_images.scaled_images` for the settings' ``scales``,
    which another thread prepares. It should not wait for the device.
    """

    def __call__(
        self, classifier: Any, images: ScaledImages, class_indices: Sequence[Sequence[int]], parameters: Any
    ) -> SummedMaps:
        """The maps of some classes of each image, one image after another; the same as for single images.

        Args:
            classifier: a ``ClassMapClassifier`` on its device, in evaluation mode.
            images: the N images, on its device.
            class_indices: for each image, the classes it shows, at least one, ascending.
            parameters: the method's settings, including ``scales``.
        """


CAM_METHODS: Registry[CamMethod] = Registry("wsss_core.cams", "cams")
"""The methods by their name for ``method`` in the configuration."""
_SIDE_BY_SIDE: Registry[SideBySideMethod] = Registry("wsss_core.cams")


def cam_method(name: str) -> Callable[[CamMethod], CamMethod]:
    """Decorator: register a function as a method, under its name for ``method`` in the configuration.

    Raises:
        UserError: another module of the package has this name.
    """

    def add(method: CamMethod) -> CamMethod:
        CAM_METHODS.add(name, method, method.__module__)
        _SIDE_BY_SIDE.known.pop(name, None)  # that of another method that had the name before
        return method

    return add


def side_by_side_method(name: str) -> Callable[[SideBySideMethod], SideBySideMethod]:
    """Decorator: register the second form of a method, after its first form (:func:`cam_method`).

    Raises:
        UserError: another module of the package has this name.
    """

    def add(method: SideBySideMethod) -> SideBySideMethod:
        _SIDE_BY_SIDE.add(name, method, method.__module__)
        return method

    return add


def of_one_image(
    method: SideBySideMethod, classifier: Any, image: np.ndarray, class_indices: Sequence[int], parameters: Any
) -> SummedMaps:
    """Compute the first form of a method with its second form; arguments as in :class:`CamMethod`."""
    images = scaled_images([image], parameters.scales).sent_to(next(classifier.parameters()))
    return method(classifier, images, [class_indices], parameters)


def find_side_by_side_method(name: str) -> SideBySideMethod | None:
    """The second form of the method of this name, if it has one.

    Raises:
        KeyError: there is no such method.
    """
    CAM_METHODS.find(name)
    return _SIDE_BY_SIDE.known.get(name)
