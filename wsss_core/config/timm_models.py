"""What timm knows about its models: whether one can be a trunk here, how it sees pixels, what it was trained on.

timm is imported only when a configuration names one of its models: that takes three seconds.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

TRAINING_DATA = {
    "in1k": "ImageNet-1k",
    "in12k": "ImageNet-12k",
    "in21k": "ImageNet-21k",
    "in22k": "ImageNet-22k",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "openai": "OpenAI's image-text pairs",
    "yfcc100m": "YFCC-100M",
    "ig1b": "Instagram-1B",
    "swsl": "Instagram-1B",
    "lvd1689m": "LVD-1689M",
    "lvd142m": "LVD-142M",
    "sat493m": "SAT-493M",
    "laiona": "LAION-Aesthetic",
    "merged2b": "LAION-2B and COYO",
    "datacompxl": "DataComp",
    "datacomp1b": "DataComp",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "webli": "WebLI",
    "metaclip": "MetaCLIP's image-text pairs",
    "cc12m": "CC-12M",
    "yfcc15m": "YFCC-15M",
    "jft": "JFT-300M",
    "swag": "Instagram-3.6B (SWAG)",
    "seer": "Instagram images (SEER)",
    "wsl": "Instagram-1B",
    "inw21k": "ImageNet-21k (winter)",
    "sa1b": "SA-1B",
    "bamboo": "Bamboo",
    "fcmae": "ImageNet-1k without labels",
}
"""Data sets by their part in the tag of weights (``convnext_tiny.in12k_ft_in1k``)."""
MAP_STRIDES = (4, 8, 16, 32)
"""Pixels per cell of the four maps that a trunk returns, before strides are removed."""
FAMILIES = "resnet, resnetv2, regnet, efficientnet, mobilenetv3, convnext, nfnet, res2net, resnest, rexnet, cspnet"
"""Families of models that can have any output stride; most others have only 32, or no such maps."""
_TRACED_SIZES = ((65, 97), (64, 96))
"""Heights and widths of the images that find a layout: a model of a fixed size refuses one of them."""


@dataclass(frozen=True)
class TimmLayout:
    """A model's maps at one output stride."""

    indices: tuple[int, ...]
    """Indices of the maps among timm's: first that of stride 2, if there is one, then the trunk's four."""
    channels: tuple[int, ...]
    """Channels of these maps."""
    strides: tuple[int, ...]
    """Pixels of the image per cell of these maps, each way."""
    stem: frozenset[str]
    """Names of the parameters that the map of stride 4 depends on."""
    unused: frozenset[str]
    """Names of the model's parts that no map depends on, such as a classifier's layers."""
    pad_to: int
    """Images are padded to multiples of this: 1, or the output stride if the model drops incomplete cells."""


@cache
def full_name(model: str) -> str:
    """The name of a model with the tag of its weights; without a tag, timm's default tag is added.

    Raises:
        ValueError: timm has no model, or no weights, of this name; the message suggests similar ones.
    """
    registry = _registry()
    architecture, _, tag = model.partition(".")
    if not registry.is_model(architecture):
        raise ValueError(f"timm has no model '{architecture}'{_similar(architecture)}")
    tags = _tags(architecture)
    if tag:
        if tag not in tags:
            raise ValueError(f"timm has no weights '{model}'; of {architecture} it has {_listed(tags)}")
        return model
    return f"{architecture}.{tags[0]}" if tags else architecture


def weights_in_words(model: str) -> str:
    """What a model's weights were trained on, and their licence, as far as timm's tag says it.

    A tag does not name the teachers that some weights were distilled from.

    Args:
        model: as of :func:`full_name`.

    Returns:
        Such as ``ImageNet-1k (timm tf_efficientnet_lite0.in1k, apache-2.0)``.
    """
    _, _, tag = model.partition(".")
    found = [TRAINING_DATA[part] for part in tag.split("_") if part in TRAINING_DATA]
    data = ", then ".join(dict.fromkeys(found)) or "data that timm does not name"
    licence = pretrained_settings(model).get("license") or "licence not named"
    return f"{data} (timm {model}, {licence})"


def pixel_statistics(model: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation (red, green, blue; 0..1 scale) of the pixels that a model was trained on."""
    settings = pretrained_settings(model)
    return tuple(settings["mean"]), tuple(settings["std"])


def pretrained_settings(model: str) -> dict[str, Any]:
    """Timm's ``pretrained_cfg`` of a model; ImageNet's mean and deviation where there are no weights."""
    import timm
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

    found = timm.get_pretrained_cfg(model)
    plain = {} if found is None else found.to_dict()
    return {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD, **plain}


@cache
def check_model(model: str, output_stride: int, dilated: bool) -> None:
    """Check that a model can be a trunk of this output stride.

    Raises:
        ValueError: it cannot; the message says which models can.
    """
    layout(model, output_stride)
    if not dilated and (refused := _fixed_dilations(model, output_stride)):
        raise ValueError(
            f"timm's {model} cannot do without dilation at output_stride: {output_stride} ({refused}); "
            "set 'dilated: true'"
        )


@cache
def layout(model: str, output_stride: int) -> TimmLayout:
    """The maps of a model, found by sending shapes through it: no weights are made.

    Raises:
        ValueError: the model has no maps of strides 4 to 32, cannot keep this output stride, or takes only images of
            one size.
    """
    import torch

    try:
        with torch.device("meta"):
            whole = create(model, 32)
    except (TypeError, AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(_refusal(model, output_stride, str(error))) from None
    natural = [entry["reduction"] for entry in getattr(whole, "feature_info", ())]
    if not hasattr(whole, "forward_intermediates") or any(stride not in natural for stride in MAP_STRIDES):
        raise ValueError(_refusal(model, output_stride, "it has no maps of strides 4, 8, 16 and 32"))
    indices = [max(n for n, own in enumerate(natural) if own == stride) for stride in MAP_STRIDES]
    if 2 in natural:
        indices.insert(0, max(n for n, own in enumerate(natural) if own == 2))
    try:
        with torch.device("meta"):
            network = create(model, output_stride, tuple(indices))
            return _traced(network, tuple(indices), output_stride)
    except (TypeError, AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(_refusal(model, output_stride, str(error))) from None


def create(model: str, output_stride: int, indices: tuple[int, ...] = ()) -> Any:
    """Timm's model without a classifier's last layer, with random weights; stride 32 is every model's own.

    Args:
        model: its name.
        output_stride: pixels per cell of the last map.
        indices: of the wanted maps, for models that keep a stride only in timm's form for maps (MobileNetV3); names of
            parameters are the same.

    Raises:
        TypeError, AssertionError: the model cannot keep this output stride.
    """
    import timm

    if output_stride == 32:
        return timm.create_model(model, pretrained=False, num_classes=0)
    try:
        return timm.create_model(model, pretrained=False, num_classes=0, output_stride=output_stride)
    except TypeError:
        return timm.create_model(
            model, pretrained=False, features_only=True, out_indices=indices, output_stride=output_stride
        )


def _traced(network: Any, indices: tuple[int, ...], output_stride: int) -> TimmLayout:
    """The layout of a model on the ``meta`` device."""
    import torch

    network.eval()
    pad_to = 1
    strides = tuple(min(stride, output_stride) for stride in (2, *MAP_STRIDES)[-len(indices) :])
    for height, width in _TRACED_SIZES:
        maps = maps_of(network, torch.zeros(1, 3, height, width), indices)
        wanted = [(-(-height // stride), -(-width // stride)) for stride in strides]
        sizes = [tuple(found.shape[2:]) for found in maps]
        if sizes == wanted:
            continue
        if height % 32 == 0 or any(found.dim() != 4 for found in maps):
            raise ValueError(f"its maps have the sizes {sizes} where {wanted} are needed")
        pad_to = output_stride
    parameters = dict(network.named_parameters())
    stem = _needed_for(maps[-4], parameters)
    used = stem.union(*(_needed_for(found, parameters) for found in maps))
    channels = tuple(found.shape[1] for found in maps)
    parts = {name for name, _ in network.named_children()}
    needed = {name.partition(".")[0] for name in used}
    with_weights = {name.partition(".")[0] for name in parameters}
    return TimmLayout(indices, channels, strides, frozenset(stem), frozenset((parts & with_weights) - needed), pad_to)


def maps_of(network: Any, images: Any, indices: tuple[int, ...]) -> list[Any]:
    """The maps at these indices; the last one is what the model's own classifier would see."""
    if not hasattr(network, "forward_intermediates"):
        return network(images)
    final, maps = network.forward_intermediates(images, indices=list(indices))
    return [*maps[:-1], final]


def _needed_for(found: Any, parameters: dict[str, Any]) -> set[str]:
    """Names of the parameters that a map depends on."""
    import torch

    gradients = torch.autograd.grad(found.sum(), list(parameters.values()), retain_graph=True, allow_unused=True)
    return {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}


def _fixed_dilations(model: str, output_stride: int) -> str | None:
    """Why a model's dilations cannot be undone; None if they can."""
    import torch

    with torch.device("meta"):
        network = create(model, output_stride, layout(model, output_stride).indices)
    for name, part in network.named_modules():
        dilation = getattr(part, "dilation", 1)
        if {1} == set(dilation if isinstance(dilation, tuple) else (dilation,)) or isinstance(part, torch.nn.Conv2d):
            continue
        if not any(isinstance(inner, torch.nn.Conv2d) for inner in part.modules()):
            return f"{name}, a {type(part).__name__}, is dilated and not a convolution"
    return None


def _refusal(model: str, output_stride: int, reason: str) -> str:
    return (
        f"timm's {model} cannot be a trunk of output_stride: {output_stride} "
        f"({' '.join(reason.split()) or 'it cannot keep this stride'}); models of these families can: {FAMILIES}; "
        "more models have output_stride: 32"
    )


def _registry() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ValueError(f"network: timm needs the Python package timm ({error}); pip install timm") from None
    return timm


@cache
def _tags(architecture: str) -> list[str]:
    """Tags of an architecture's weights, the default one first."""
    names = [name.partition(".")[2] for name in _registry().list_pretrained(f"{architecture}.*")]
    default = _registry().models.get_pretrained_cfg(architecture)
    first = getattr(default, "tag", None)
    return sorted(names, key=lambda tag: (tag != first, tag))


def _similar(architecture: str) -> str:
    from difflib import get_close_matches

    found = get_close_matches(architecture, _registry().list_models(), 3)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _listed(tags: list[str]) -> str:
    return ", ".join(tags) if tags else "none"
