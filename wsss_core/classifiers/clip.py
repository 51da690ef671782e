"""CLIP's objective: none. An imported image tower becomes a classifier with the features of texts.

Lin et al., "CLIP is Also an Efficient Segmenter: A Text-Driven Approach for Weakly Supervised Semantic Segmentation",
CVPR 2023.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from wsss_core.classifiers.objective import Objective
from wsss_core.config.classifiers import Classifier
from wsss_core.config.networks import Trunk
from wsss_core.config.token_classifiers import ClipClassifier
from wsss_core.errors import UserError
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.clip import TextFeatureClassifier
from wsss_core.networks.text_features import read_text_features
from wsss_core.networks.weights import load_state, load_weights

KIND = "clip"
"""The kind of an image tower, as its file says it."""


class ClipObjective(Objective, name="clip"):
    """Nothing is trained."""

    @classmethod
    def build_network(cls, parameters: Classifier, trunk: Trunk, classes: Sequence[str]) -> ClassMapClassifier:
        """A tower with random weights, and the features from the file of texts."""
        settings = cast(ClipClassifier, parameters)
        own, background = read_text_features(
            settings.text_features, settings.texts(classes), settings.background_texts()
        )
        network = TextFeatureClassifier(trunk, classes, own.shape[1], len(background))
        network.class_texts.copy_(own)
        network.background_texts.copy_(background)
        return network

    @classmethod
    def start_from(cls, path: Path, network: ClassMapClassifier, whole: bool) -> None:
        """Load an imported image tower into a network."""
        state, description = load_weights(path)
        if description.get("kind") != KIND:
            raise UserError(
                f"{path}: holds weights of a {description.get('kind', 'unknown network')}, not of CLIP's image tower; "
                "`python -m wsss_core import-weights --format clip` makes such a file"
            )
        texts = {name: found for name, found in network.state_dict().items() if name.endswith("_texts")}
        length = state["projection"].shape[-1] if "projection" in state else 0
        if length != texts["class_texts"].shape[1]:
            raise UserError(
                f"{path}: gives features of length {length}, but those of the texts have "
                f"{texts['class_texts'].shape[1]}: 'text_features' belongs to another CLIP"
            )
        load_state(network, {**state, **texts}, path)

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """None: settings with epochs are refused."""
        del images, epoch
        return {"loss": torch.zeros((), device=labels.device)}
