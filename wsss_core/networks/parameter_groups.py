"""Groups of parameters to optimise, with factors for the learning rate."""

from collections.abc import Iterable
from typing import Any

from torch import nn


class ParameterGroup(dict[str, Any]):
    """An optimiser's group: ``params`` and ``factor``, its multiple of the learning rate."""

    def __init__(self, parameters: Iterable[nn.Parameter], factor: float, **options: Any) -> None:
        """Make a group; ``options`` (``weight_decay=0``) override the optimiser's options."""
        super().__init__(params=list(parameters), factor=factor, **options)
