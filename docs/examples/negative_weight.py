"""An affinity of one's own: AffinityNet that cares more, or less, about pairs of different classes."""

from typing import Literal

from pydantic import Field

from wsss_core.extend import AffinityNet, AffinityNetMethod, register


@register("affinities")
class NegativeWeightAffinity(AffinityNet):
    """AffinityNet with a weight for pairs of two classes."""

    method: Literal["negative_weight"] = "negative_weight"
    """Another balance of the loss."""
    negative_weight: float = Field(1.0, gt=0)
    """How much pairs of two classes count; AffinityNet's own loss gives them 0.5."""


class NegativeWeightMethod(AffinityNetMethod, name="negative_weight"):
    """Background / 4 + foreground / 4 + ``negative_weight`` * negative."""

    @classmethod
    def build(cls, parameters, trunk):
        """The network to be trained, and the weight."""
        method = super().build(parameters, trunk)
        method.negative_weight = parameters.negative_weight
        return method

    def losses(self, images, labels):
        """The losses of a batch (see ``AffinityMethod``)."""
        losses = super().losses(images, labels)
        kinds = losses["background"] / 4 + losses["foreground"] / 4
        return {**losses, "loss": kinds + self.negative_weight * losses["negative"]}
