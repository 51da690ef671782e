"""CGNet's objective: erasing what a class's map covers must hide that class, and nothing else.

Kweon et al., "Unlocking the Potential of Ordinary Classifier: Class-specific Adversarial Erasing Framework for Weakly
Supervised Semantic Segmentation", ICCV 2021; computes what OC-CSE ``models/model_cse.py`` computes.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from wsss_core.classifiers.objective import Objective
from wsss_core.config.classifiers import CgnetClassifier, Classifier
from wsss_core.jobs.devices import sent_to
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.erasing import erasing_mask


class CgnetObjective(Objective, name="cgnet"):
    """Classification, and the loss of a frozen ordinary classifier on images with one class erased.

    The gradient of the second loss reaches the trained network through the frozen classifier and the mask.
    """

    def __init__(
        self, network: ClassMapClassifier, parameters: Classifier, ordinary: ClassMapClassifier | None
    ) -> None:
        """Freeze ``ordinary``: gradients pass through it to the image, but its weights get none.

        Args:
            network: the network to train.
            parameters: the objective's settings.
            ordinary: any network with a classifier's interface, such as a folded copy; moved to the images' device if
                needed.
        """
        super().__init__(network, parameters, ordinary)
        assert ordinary is not None
        self.settings = cast(CgnetClassifier, parameters)
        self.ordinary = ordinary.requires_grad_(False).eval()

    def coupling_of_images(self) -> str | None:
        """The authors' masks depend on the whole batch."""
        if self.settings.erasing == "none" or self.settings.mask_maximum == "image":
            return None
        return "'mask_maximum: batch' scales each mask by the largest value in the whole batch ('image' does not)"

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """``classification``, ``erasing`` (weighted), and ``loss``, their sum."""
        maps = self.network.class_maps(images)
        classification = functional.binary_cross_entropy_with_logits(maps.mean(dim=(2, 3)), labels)
        if self.settings.erasing == "none":
            return {"loss": classification, "classification": classification}
        if self.settings.erasing == "class_specific":
            target = drawn_classes(labels)
            erased_maps, remaining = maps * target[:, :, None, None], labels - target
        else:
            erased_maps, remaining = maps * labels[:, :, None, None], torch.zeros_like(labels)
        mask = erasing_mask(erased_maps, images.shape[2:], self.settings.mask_maximum)
        self.ordinary = self.ordinary.to(images.device)
        judged = self.ordinary(images * (1 - mask))
        weight = self.settings.erasing_weight + self.settings.erasing_weight_growth * epoch
        erasing = weight * functional.binary_cross_entropy_with_logits(judged, remaining)
        return {"loss": classification + erasing, "classification": classification, "erasing": erasing}


def drawn_classes(labels: Tensor) -> Tensor:
    """One of each image's classes at random.

    Args:
        labels: (B, K), 1 or 0.

    Returns:
        (B, K) like ``labels``: 1 for the class drawn; all 0 for an image without classes.
    """
    chances = sent_to(labels, torch.rand(labels.shape))
    drawn = functional.one_hot((chances * (labels > 0)).argmax(dim=1), labels.shape[1])
    return drawn.to(labels) * (labels > 0)
