"""CAM methods by name, and what one is."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.config.extensions import refuse_names_of_the_package


class CamMethod(Protocol):
    """Draws the class maps of an image."""

    def __call__(self, classifier: Any, image: np.ndarray, class_indices: Sequence[int], parameters: Any) -> SummedMaps:
        """Maps of some classes.

        Args:
            classifier: a ``ClassMapClassifier`` on its device, in evaluation mode.
            image: (H, W, 3) uint8 RGB.
            class_indices: the K classes the image shows, at least one, ascending.
            parameters: the method's settings.
        """


_known: dict[str, CamMethod] = {}


def known_methods() -> dict[str, CamMethod]:
    """The methods registered so far, by name."""
    return dict(_known)


def cam_method(name: str) -> Callable[[CamMethod], CamMethod]:
    """Decorator: register a function under the name that ``method`` has in the configuration.

    Raises:
        UserError: the name is that of another module of the package.
    """

    def add(method: CamMethod) -> CamMethod:
        refuse_names_of_the_package(__package__, name, method.__module__)
        _known[name] = method
        return method

    return add


def find_cam_method(name: str) -> CamMethod:
    """The method of this name: one registered before, or by the module ``wsss_core.cams.<name>``.

    Raises:
        KeyError: the module does not register it.
    """
    if name not in _known:
        import_module(f"wsss_core.cams.{name}")
    return _known[name]
