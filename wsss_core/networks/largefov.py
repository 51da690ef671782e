"""DeepLab-LargeFOV: a dilated convolution with a large field of view on a trunk.

Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR 2015,
section 3.1; VGG-16's fc6 becomes a 3x3 convolution of dilation 12, fc7 a 1x1 convolution.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from wsss_core.errors import UserError
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.initialisation import initialise_for_relu
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.trunks import TrunkNetwork

FC6, FC7 = "classifier.0", "classifier.3"
"""torchvision's names of VGG-16's fully connected layers fc6 and fc7."""
GRID, KEPT_EVERY = 7, 3
"""fc6 is 7 cells wide and high on the last pooling's map; every third row and column of its weights is kept."""


class LargeFovNetwork(SegmentationNetwork):
    """Trunk, two layers with dropout, scores. Layers have Caffe's names: ``fc6``, ``fc7``, ``fc8``."""

    def __init__(
        self, trunk: TrunkNetwork, classes: Sequence[str], atrous_rate: int, channels: int, dropout: float
    ) -> None:
        """Add randomly initialised layers to ``trunk``.

        Args:
            trunk: the trunk.
            classes: names of the object classes, without the background.
            atrous_rate: dilation of ``fc6``.
            channels: of ``fc6`` and ``fc7``.
            dropout: proportion of their values that is dropped in training.
        """
        super().__init__(trunk, classes)
        self.fc6 = nn.Conv2d(trunk.channels[-1], channels, 3, padding=atrous_rate, dilation=atrous_rate)
        self.fc7 = nn.Conv2d(channels, channels, 1)
        self.fc8 = nn.Conv2d(channels, len(self.classes), 1)
        self.dropout = nn.Dropout(dropout)
        initialise_for_relu(self.fc6)
        initialise_for_relu(self.fc7)
        nn.init.normal_(self.fc8.weight, std=0.01)
        assert self.fc8.bias is not None
        nn.init.zeros_(self.fc8.bias)

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Class scores (B, K + 1, h, w) at the trunk's stride."""
        features = maps[-1]
        for layer in (self.fc6, self.fc7):
            features = self.dropout(functional.relu(layer(features)))
        return self.fc8(features)

    def parameter_groups(self, head_factor: float = 10.0) -> list[ParameterGroup]:
        """The groups of the released solver: biases have twice their layer's learning rate and no decay.

        Args:
            head_factor: factor of ``fc8``.

        Returns:
            Groups of weights and biases of the trunk, ``fc6`` and ``fc7``, and of ``fc8``. Parameters of normalisation,
            which VGG-16 does not have, are in the first.
        """
        layers = [part for part in self.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
        biases = {id(part.bias) for part in layers if part.bias is not None}
        weights_of: dict[bool, list[nn.Parameter]] = {False: [], True: []}
        biases_of: dict[bool, list[nn.Parameter]] = {False: [], True: []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                (biases_of if id(parameter) in biases else weights_of)[name.startswith("fc8.")].append(parameter)
        return [
            ParameterGroup(weights_of[False], 1.0),
            ParameterGroup(biases_of[False], 2.0, weight_decay=0.0),
            ParameterGroup(weights_of[True], head_factor),
            ParameterGroup(biases_of[True], 2 * head_factor, weight_decay=0.0),
        ]


def decimated_layers(state: Mapping[str, Tensor], channels: int, path: Path | str) -> nn.ModuleDict:
    """VGG-16's fc6 and fc7 as convolutions, with only some of their weights.

    fc6 is a 7x7 convolution of the last pooling's map. Every third row and column of its weights is kept, which gives a
    3x3 convolution with dilation 3 at that map's stride, 32; at stride 8, dilation 12 puts the weights over the same
    pixels. Every n-th unit of both layers is kept, starting with the first, and the inputs of fc7 from units of fc6
    that are kept. Weights are not scaled to compensate.

    Source: Chen et al., ICLR 2015, section 3.1, subsamples fc6 "by simple decimation" to 3x3, and has 1,024 instead of
    4,096 units, without saying which. Others who made such a file took them at equal distances.

    Args:
        state: torchvision's ``vgg16``.
        channels: number of units to keep; divides the number of units.
        path: the file of ``state``, for messages.

    Returns:
        ``fc6`` and ``fc7``, float32, with their names in :class:`LargeFovNetwork`.

    Raises:
        UserError: a weight is missing or has another shape.
    """
    lacking = [f"{layer}.{leaf}" for layer in (FC6, FC7) for leaf in ("weight", "bias")]
    if lacking := [name for name in lacking if name not in state]:
        raise UserError(f"{path}: lacks VGG-16's fully connected layers ({', '.join(lacking)})")
    units, inputs = state[f"{FC6}.weight"].shape
    if inputs % GRID**2 or units % channels or state[f"{FC7}.weight"].shape != (units, units):
        raise UserError(f"{path}: its fully connected layers have other shapes than VGG-16's")
    step = units // channels
    spatial = state[f"{FC6}.weight"].reshape(units, inputs // GRID**2, GRID, GRID)
    weights = {
        "fc6.weight": spatial[::step, :, ::KEPT_EVERY, ::KEPT_EVERY],
        "fc6.bias": state[f"{FC6}.bias"][::step],
        "fc7.weight": state[f"{FC7}.weight"][::step, ::step, None, None],
        "fc7.bias": state[f"{FC7}.bias"][::step],
    }
    layers = nn.ModuleDict({"fc6": nn.Conv2d(spatial.shape[1], channels, 3), "fc7": nn.Conv2d(channels, channels, 1)})
    layers.load_state_dict(weights)
    return layers
