"""An objective of one's own: the focal loss (Lin et al., ICCV 2017)."""

from typing import Literal

import torch
from pydantic import Field

from wsss_core.extend import Classifier, Objective, register


@register("classifiers")
class FocalClassifier(Classifier):
    """Multi-label classification that down-weights well-classified examples."""

    objective: Literal["focal"] = "focal"
    """Focal loss."""
    gamma: float = Field(2.0, ge=0)
    """Focusing parameter; 0 gives the ordinary loss."""


class FocalObjective(Objective, name="focal"):
    """Binary cross-entropy times (1 - probability of the truth) ** gamma."""

    def losses(self, images, labels, epoch):
        """The loss of a batch: images (B, 3, H, W), labels (B, K)."""
        signed = self.network(images) * (2 * labels - 1)
        unsure = torch.sigmoid(-signed) ** self.parameters.gamma
        return {"loss": -(unsure * torch.nn.functional.logsigmoid(signed)).mean()}
