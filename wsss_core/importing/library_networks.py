"""Recognises networks of torchvision and timm by the names and shapes of their weights."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from wsss_core.config.networks import Trunk
from wsss_core.errors import UserError
from wsss_core.importing.authors_names import torchvision_naming
from wsss_core.importing.targets import COUNTER, Target, backbone_target, names_in_words

TORCHVISION = ("resnet18", "resnet34", "resnet50", "resnet101", "vgg16")
"""The networks of torchvision with a trunk here."""
TIMM = tuple(network for network in TORCHVISION if network.startswith("resnet"))
"""The networks whose weights have the same names in timm and make the same maps."""
ALIKE = 0.5
"""A file is recognised as a network if at least this share of names and shapes agree."""


def torchvision_target(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """The network of torchvision that agrees best with the file in names and shapes."""
    return _most_alike(state, path, "torchvision", TORCHVISION)


def timm_target(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """The same for timm's plain residual networks."""
    return _most_alike(state, path, "timm", TIMM)


def _most_alike(state: Mapping[str, Tensor], path: Path | str, library: str, networks: Sequence[str]) -> Target:
    likeness = _likeness(state)
    best = max(networks, key=likeness.__getitem__)
    if likeness[best] < ALIKE:
        raise UserError(
            f"{path}: holds none of {library}'s networks {', '.join(networks)}; {names_in_words(state)}{_inside(state)}"
        )
    return _torchvision(best, library)


def _likeness(state: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of names and shapes, 0 to 1, that agree with each of torchvision's networks."""
    given = _shapes(state)
    likeness = {}
    with torch.device("meta"):
        for network in TORCHVISION:
            target = _torchvision(network)
            own = target.build(()).state_dict()
            wanted = _shapes({target.naming(name): tensor for name, tensor in own.items()})
            likeness[network] = len(given & wanted) / len(given | wanted)
    return likeness


def _inside(state: Mapping[str, Tensor]) -> str:
    """A message about a known network within the file, under a common beginning of names; empty if there is none."""
    beginnings = Counter(name.partition(".")[0] + "." for name in state if "." in name)
    for beginning, _ in beginnings.most_common(3):
        inner = {name.removeprefix(beginning): state[name] for name in state if name.startswith(beginning)}
        best, alike = max(_likeness(inner).items(), key=lambda item: item[1])
        if alike >= ALIKE:
            return (
                f"; under the beginning '{beginning}' it has a {best}: write those weights without it, with torch.save "
                "or as .safetensors"
            )
    return ""


def _torchvision(network: str, library: str = "torchvision") -> Target:
    with torch.device("meta"):
        naming = torchvision_naming(network)
    trunk = Trunk(network=network)  # type: ignore[arg-type]  # one of TORCHVISION
    return backbone_target(f"{network} of {library}", trunk, naming, "fc.", "classifier.")


def _shapes(state: Mapping[str, Tensor]) -> set[tuple[str, torch.Size]]:
    """Names and shapes of the trunk's weights in a state dict of torchvision."""
    return {
        (name, tensor.shape)
        for name, tensor in state.items()
        if not name.startswith(("fc.", "classifier.")) and not name.endswith(COUNTER)
    }
