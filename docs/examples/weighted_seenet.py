"""SeeNet with a weight of one's own for the losses of its second branch."""

from typing import Literal

from pydantic import Field

from wsss_core.extend import SeenetClassifier, SeenetObjective, register


@register("classifiers")
class WeightedSeenetClassifier(SeenetClassifier):
    """SeeNet, with its second branch's losses weighted against the first branch's."""

    objective: Literal["weighted_seenet"] = "weighted_seenet"
    """SeeNet's losses, weighted."""
    second_weight: float = Field(1.0, ge=0)
    """Weight of the losses of the erased image and of the background."""


class WeightedSeenetObjective(SeenetObjective, name="weighted_seenet"):
    """SeeNet's objective with another sum."""

    def losses(self, images, labels, epoch):
        """The loss of a batch: images (B, 3, H, W), labels (B, K)."""
        losses = super().losses(images, labels, epoch)
        second = sum(losses[name] for name in ("erased", "background") if name in losses)
        return {**losses, "loss": losses["initial"] + self.parameters.second_weight * second}
