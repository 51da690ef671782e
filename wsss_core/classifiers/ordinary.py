"""The ordinary objective: multi-label classification of whole images."""

from torch import Tensor
from torch.nn import functional

from wsss_core.classifiers.objective import Objective


class OrdinaryObjective(Objective, name="ordinary"):
    """Multi-label soft margin loss on the logits (IRN ``step/train_cam.py``)."""

    def losses(self, images: Tensor, labels: Tensor, epoch: int) -> dict[str, Tensor]:
        """The loss of a batch, independent of the epoch."""
        return {"loss": functional.multilabel_soft_margin_loss(self.network(images), labels)}
