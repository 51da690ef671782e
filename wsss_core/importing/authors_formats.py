"""Which network of ours the file of another program becomes."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsss_core.backbones.prepare_backbone import TrunkOnly
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLabV2
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.errors import UserError
from wsss_core.importing import authors_names
from wsss_core.importing.authors_names import Naming, by_beginning
from wsss_core.importing.clip_names import tower_settings
from wsss_core.networks.affinitynet import AffinityNetwork, save_affinitynet
from wsss_core.networks.class_tokens import ClassTokenClassifier
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import save_classifier
from wsss_core.networks.gated_pyramid import GatedPyramidClassifier
from wsss_core.networks.irn import build_irn, own_name, save_irn
from wsss_core.networks.segmenter_files import build_segmenter, save_segmenter
from wsss_core.networks.self_erasing import SelfErasingClassifier
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import save_weights

COUNTER = "num_batches_tracked"
"""A buffer of batch normalisation that old files lack and nothing here reads."""
TORCHVISION = ("resnet18", "resnet34", "resnet50", "resnet101", "vgg16")
"""Networks of torchvision that have a trunk here."""
TIMM = tuple(network for network in TORCHVISION if network.startswith("resnet"))
"""Those whose weights have the same names and make the same maps in timm."""
ALIKE = 0.5
"""Share of names and shapes by which a file is taken for one of them."""
CROP_SIZE = 512
"""Pixels of the crops that IRN's authors train on, and pad images to."""
RESNET50 = Trunk(network="resnet50", output_stride=16)
RESNET38 = Trunk(network="resnet38", output_stride=8)
VGG16 = Trunk(network="vgg16", output_stride=16, pixels="caffe")
RESNET101 = Trunk(network="resnet101", output_stride=8, dilated=True, pixels="caffe")
DEIT_SMALL = Trunk.model_construct(network="timm", model="deit_small_patch16_224.fb_in1k", output_stride=16)
"""Not checked here: that would import timm for every format."""


@dataclass(frozen=True)
class Target:
    """A network of ours, and where its weights are in the authors' file."""

    what: str
    """Says in a sentence what the file should be."""
    build: Callable[[Sequence[str]], nn.Module]
    """Makes the network from the names of the classes."""
    save: Callable[[Path | str, Any], None]
    """Writes it."""
    naming: Naming
    """Gives the authors' names."""
    dropped: Callable[[str], bool] = lambda name: False
    """Tells the authors' names that have no counterpart here."""
    head: str | None = None
    """Authors' name of the weight that has a row for each class; none in networks that know no classes."""
    background: bool = False
    """The head's first row is the background's."""
    added: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] = lambda state: {}
    """Makes, of the authors' weights, what our network has besides, under the names that ``naming`` gives it."""


def _classifier(
    what: str,
    architecture: type[ClassMapClassifier],
    trunk: Trunk,
    beginnings: Mapping[str, str],
    head: str,
    dropped: tuple[str, ...] = (),
) -> Target:
    return Target(
        what,
        lambda classes: architecture(trunk, classes),
        save_classifier,
        by_beginning(beginnings),
        lambda name: name.startswith(dropped),
        head,
    )


def _backbone(what: str, trunk: Trunk, naming: Naming, *dropped: str) -> Target:
    description = {"kind": "backbone", "backbone": trunk.model_dump(mode="json")}
    return Target(
        what,
        lambda classes: TrunkOnly(build_trunk(trunk)),
        lambda path, network: save_weights(path, network, description),
        naming,
        lambda name: name.startswith(dropped),
    )


# IRN lists its trunk and its head a second time, in the order of training.
_IRN_CLASSIFIER = _classifier(
    "classifier of IRN or AdvCAM (resnet50_cam)",
    ClassMapClassifier,
    RESNET50,
    authors_names.IRN_CLASSIFIER,
    "classifier.weight",
    dropped=("stage", "backbone.", "newly_added.", "resnet50.fc."),
)
_SEENET = _classifier(
    "network of SeeNet", SelfErasingClassifier, VGG16, authors_names.SEENET_CLASSIFIER, "score_b1.weight"
)
_AEFT = _classifier(
    "network of AEFT (Net_gpp)",
    GatedPyramidClassifier,
    RESNET38.model_copy(update={"dropout": (0.2, 0.2)}),
    authors_names.AEFT_CLASSIFIER,
    "fc9.weight",
    dropped=("bn8.",),  # which the authors' network has, but does not use
)
_IRN = Target(
    "network of IRN (resnet50_irn)",
    lambda classes: build_irn(RESNET50, CROP_SIZE),
    lambda path, network: save_irn(path, network, RESNET50),
    authors_names.irn_naming(),
    lambda name: own_name(name) is None,
)
_AFFINITYNET = Target(
    "AffinityNet of psa (resnet38_aff)",
    lambda classes: AffinityNetwork(build_trunk(RESNET38), stride=8, radius=5),
    lambda path, network: save_affinitynet(path, network, RESNET38),
    by_beginning(authors_names.AFFINITYNET),
)
_DEEPLAB = Target(
    "DeepLab v2 of deeplab-pytorch",
    lambda classes: build_segmenter("deeplabv2", DeepLabV2(backbone="any").options, RESNET101, classes),
    save_segmenter,
    authors_names.deeplab_naming(),
    head="aspp.c0.weight",
    background=True,
)


def _resnet38_classifier(what: str) -> Target:
    return _classifier(what, ClassMapClassifier, RESNET38, authors_names.RESNET38_CLASSIFIER, "fc8.weight")


def _of_psa(state: Mapping[str, Tensor], path: Path | str) -> Target:
    if "f9.weight" in state:
        return _AFFINITYNET
    if "fc8.weight" in state:
        return _resnet38_classifier("classifier of psa (resnet38_cls)")
    raise UserError(
        f"{path}: is no file of psa: it has neither f9.weight (AffinityNet) nor fc8.weight (classifier); "
        f"{_found(state)}"
    )


def _of_deeplab(state: Mapping[str, Tensor], path: Path | str) -> Target:
    if any(name.startswith("aspp.") for name in state):
        return _DEEPLAB
    return _backbone("DeepLab v1 or v2 of deeplab-pytorch", RESNET101, authors_names.deeplab_naming(), "fc.")


def _of_mctformer(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """MCTformer+'s network, for images of the size that its positions are for."""
    positions = state.get("pos_embed_pat")
    patches = 0 if positions is None or positions.dim() != 3 else positions.shape[1]
    if patches == 0 or math.isqrt(patches) ** 2 != patches:
        raise UserError(
            f"{path}: is no network of MCTformer+: it has no pos_embed_pat for a square of patches; {_found(state)}"
        )
    token = state.get("cls_token")
    if token is not None and token.dim() != 3:
        raise UserError(
            f"{path}: is no network of MCTformer+: cls_token has the shape {list(token.shape)}, not (1, K, C)"
        )
    return Target(
        "network of MCTformer+ (DeiT-S)",
        lambda classes: ClassTokenClassifier(DEIT_SMALL, classes, DEIT_SMALL.output_stride * math.isqrt(patches)),
        save_classifier,
        by_beginning(authors_names.MCTFORMER_CLASSIFIER),
        head="head.weight",
        # The trunk's own class token, which the classifier does not use and the authors' network does not have.
        added=lambda weights: (
            {authors_names.NO_TOKEN: weights["cls_token"].mean(dim=1, keepdim=True)} if "cls_token" in weights else {}
        ),
    )


class ImageTower(TrunkOnly):
    """CLIP's image tower as its file holds it: a trunk, what brings its tokens to texts' features, and a scale."""

    def __init__(self, trunk: Trunk, embedding: int) -> None:
        """Hold a trunk with random weights; features have the length ``embedding``."""
        super().__init__(build_trunk(trunk))
        self.projection = nn.Parameter(torch.empty(self.trunk.channels[-1], embedding))
        self.logit_scale = nn.Parameter(torch.empty(()))


def _of_clip(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """CLIP's image tower, of a state dict that has our names already."""
    trunk = tower_settings(state, path)
    embedding = state["projection"].shape[-1] if "projection" in state else 0
    description = {"kind": "clip", "trunk": describe_trunk(trunk), "embedding": embedding}
    return Target(
        "image tower of CLIP",
        lambda classes: ImageTower(trunk, embedding),
        lambda file, network: save_weights(file, network, description),
        lambda own: own,
    )


def _of_torchvision(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """The network whose weights agree best with the file's, in names and shapes."""
    return _most_alike(state, path, "torchvision", TORCHVISION)


def _of_timm(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """The same of timm's plain residual networks."""
    return _most_alike(state, path, "timm", TIMM)


def _most_alike(state: Mapping[str, Tensor], path: Path | str, library: str, networks: Sequence[str]) -> Target:
    likeness = _likeness(state)
    best = max(networks, key=likeness.__getitem__)
    if likeness[best] < ALIKE:
        raise UserError(
            f"{path}: holds none of {library}'s networks {', '.join(networks)}; {_found(state)}{_inside(state)}"
        )
    return _torchvision(best, library)


def _likeness(state: Mapping[str, Tensor]) -> dict[str, float]:
    """How well the weights agree with each of torchvision's networks, in names and shapes: 0 to 1."""
    given = _shapes(state)
    likeness = {}
    with torch.device("meta"):
        for network in TORCHVISION:
            target = _torchvision(network)
            own = target.build(()).state_dict()
            wanted = _shapes({target.naming(name): tensor for name, tensor in own.items()})
            likeness[network] = len(given & wanted) / len(given | wanted)
    return likeness


def _found(state: Mapping[str, Tensor]) -> str:
    """What names a file has, for a message."""
    names = list(state)
    return f"its {len(names)} names are {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


def _inside(state: Mapping[str, Tensor]) -> str:
    """Which network a file has inside another, whose names begin alike, for a message; empty if it has none."""
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
        naming = authors_names.torchvision_naming(network)
    trunk = Trunk(network=network)  # type: ignore[arg-type]  # one of TORCHVISION
    return _backbone(f"{network} of {library}", trunk, naming, "fc.", "classifier.")


def _shapes(state: Mapping[str, Tensor]) -> set[tuple[str, torch.Size]]:
    """Names and shapes of what belongs to a trunk in a state dict of torchvision's."""
    return {
        (name, tensor.shape)
        for name, tensor in state.items()
        if not name.startswith(("fc.", "classifier.")) and not name.endswith(COUNTER)
    }


Choice = Callable[[Mapping[str, Tensor], Path | str], Target]
"""From a file's state dict, under the authors' names, and its path to what it should be."""

FORMATS: dict[str, Choice] = {
    "irn-cam": lambda state, path: _IRN_CLASSIFIER,
    "oc-cse": lambda state, path: _resnet38_classifier("network of OC-CSE"),
    "aeft": lambda state, path: _AEFT,
    "seenet": lambda state, path: _SEENET,
    "psa": _of_psa,
    "irn": lambda state, path: _IRN,
    "deeplab-pytorch": _of_deeplab,
    "mctformer": _of_mctformer,
    "clip": _of_clip,
    "torchvision": _of_torchvision,
    "timm": _of_timm,
    "mxnet-params": lambda state, path: _backbone(
        "ResNet-38 of MXNet", RESNET38, authors_names.mxnet_name, "linear1000_"
    ),
}
"""By the name that the command line has for them."""
