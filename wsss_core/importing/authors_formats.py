"""The formats of other programs' files, and the network of ours that each becomes."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from wsss_core.backbones.prepare_backbone import TrunkOnly
from wsss_core.config.networks import Trunk
from wsss_core.config.segmentation import DeepLabV2
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.errors import UserError
from wsss_core.importing import authors_names
from wsss_core.importing.authors_names import by_beginning
from wsss_core.importing.clip_names import tower_settings
from wsss_core.importing.library_networks import timm_target, torchvision_target
from wsss_core.importing.targets import Target, backbone_target, classifier_target, names_in_words
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

CROP_SIZE = 512
"""Side of the crops that IRN's authors train on, and to which they pad images, pixels."""
RESNET50 = Trunk(network="resnet50", output_stride=16)
RESNET38 = Trunk(network="resnet38", output_stride=8)
VGG16 = Trunk(network="vgg16", output_stride=16, pixels="caffe")
RESNET101 = Trunk(network="resnet101", output_stride=8, dilated=True, pixels="caffe")
DEIT_SMALL = Trunk.model_construct(network="timm", model="deit_small_patch16_224.fb_in1k", output_stride=16)
"""Not validated here, because that would import timm for every format."""

# IRN's file has its trunk and its head a second time, in the order of training.
_IRN_CLASSIFIER = classifier_target(
    "classifier of IRN or AdvCAM (resnet50_cam)",
    ClassMapClassifier,
    RESNET50,
    authors_names.IRN_CLASSIFIER,
    "classifier.weight",
    dropped=("stage", "backbone.", "newly_added.", "resnet50.fc."),
)
_SEENET = classifier_target(
    "network of SeeNet", SelfErasingClassifier, VGG16, authors_names.SEENET_CLASSIFIER, "score_b1.weight"
)
_AEFT = classifier_target(
    "network of AEFT (Net_gpp)",
    GatedPyramidClassifier,
    RESNET38.model_copy(update={"dropout": (0.2, 0.2)}),
    authors_names.AEFT_CLASSIFIER,
    "fc9.weight",
    dropped=("bn8.",),  # the authors' network has it, but does not use it
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
    return classifier_target(what, ClassMapClassifier, RESNET38, authors_names.RESNET38_CLASSIFIER, "fc8.weight")


def _of_psa(state: Mapping[str, Tensor], path: Path | str) -> Target:
    if "f9.weight" in state:
        return _AFFINITYNET
    if "fc8.weight" in state:
        return _resnet38_classifier("classifier of psa (resnet38_cls)")
    raise UserError(
        f"{path}: is not a file of psa: it has neither f9.weight (AffinityNet) nor fc8.weight (classifier); "
        f"{names_in_words(state)}"
    )


def _of_deeplab(state: Mapping[str, Tensor], path: Path | str) -> Target:
    if any(name.startswith("aspp.") for name in state):
        return _DEEPLAB
    return backbone_target("DeepLab v1 or v2 of deeplab-pytorch", RESNET101, authors_names.deeplab_naming(), "fc.")


def _of_mctformer(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """MCTformer+'s network, for images of the size that fits its position embedding."""
    positions = state.get("pos_embed_pat")
    patches = 0 if positions is None or positions.dim() != 3 else positions.shape[1]
    if patches == 0 or math.isqrt(patches) ** 2 != patches:
        raise UserError(
            f"{path}: is not a network of MCTformer+: it has no pos_embed_pat for a square of patches; "
            f"{names_in_words(state)}"
        )
    token = state.get("cls_token")
    if token is not None and token.dim() != 3:
        raise UserError(
            f"{path}: is not a network of MCTformer+: cls_token has the shape {list(token.shape)}, not (1, K, C)"
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
    """CLIP's image tower as in its file: a trunk, the projection to the features of texts, and a scale."""

    def __init__(self, trunk: Trunk, embedding: int) -> None:
        """Build a trunk with random weights, and features of length ``embedding``."""
        super().__init__(build_trunk(trunk))
        self.projection = nn.Parameter(torch.empty(self.trunk.channels[-1], embedding))
        self.logit_scale = nn.Parameter(torch.empty(()))


def _of_clip(state: Mapping[str, Tensor], path: Path | str) -> Target:
    """CLIP's image tower, for a state dict that already has our names."""
    trunk = tower_settings(state, path)
    embedding = state["projection"].shape[-1] if "projection" in state else 0
    description = {"kind": "clip", "trunk": describe_trunk(trunk), "embedding": embedding}
    return Target(
        "image tower of CLIP",
        lambda classes: ImageTower(trunk, embedding),
        lambda file, network: save_weights(file, network, description),
        lambda own: own,
    )


Choice = Callable[[Mapping[str, Tensor], Path | str], Target]
"""Chooses the target for a file's state dict (with the authors' names) and its path."""

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
    "torchvision": torchvision_target,
    "timm": timm_target,
    "mxnet-params": lambda state, path: backbone_target(
        "ResNet-38 of MXNet", RESNET38, authors_names.mxnet_name, "linear1000_"
    ),
}
"""The formats by their names on the command line."""
