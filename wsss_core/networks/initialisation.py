"""Random initial weights of networks."""

from torch import nn


def initialise_for_relu(module: nn.Module) -> None:
    """He initialisation of all convolutions in ``module``, with biases 0, as in torchvision's networks."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
