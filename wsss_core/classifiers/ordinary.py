"""The ordinary objective: multi-label classification of whole images."""

from torch import Tensor
from torch.nn import functional

from wsss_core.networks.classifier import ClassMapClassifier


class OrdinaryObjective:
    """Multi-label soft margin loss on the logits (IRN ``step/train_cam.py``)."""

    def __init__(self, classifier: ClassMapClassifier) -> None:
        """Keep the network that is trained."""
        self.classifier = classifier

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """The loss of a batch.

        Args:
            images: (B, 3, H, W), normalised.
            labels: (B, K) float, 1 where the image shows the class, else 0.
            epoch: from 0; this objective is the same in every epoch.

        Returns:
            ``loss``, a scalar.
        """
        return {"loss": functional.multilabel_soft_margin_loss(self.classifier(images), labels)}
