"""An objective and a CAM method of one's own: the focal loss, and maps of the mirrored pair's smaller values."""

from typing import Literal

import torch
from pydantic import Field

from wsss_core.cams.map_sizes import SummedMaps
from wsss_core.cams.methods import cam_method
from wsss_core.classifiers.objective import Objective
from wsss_core.config.cams import Cams
from wsss_core.config.classifiers import Classifier
from wsss_core.config.extensions import register
from wsss_core.datasets.transforms import normalise


@register("classifiers")
class FocalClassifier(Classifier):
    """Multi-label classification that looks less at what is right already (Lin et al., ICCV 2017)."""

    objective: Literal["focal"] = "focal"
    """Focal loss."""
    gamma: float = Field(2.0, ge=0)
    """How much less; 0 is the ordinary loss."""


class FocalObjective(Objective, name="focal"):
    """Binary cross-entropy times (1 - probability of the truth) ** gamma."""

    def losses(self, images, labels, epoch):
        """The loss of a batch."""
        signed = self.network(images) * (2 * labels - 1)
        sure = torch.sigmoid(signed)
        return {"loss": (-((1 - sure) ** self.parameters.gamma) * torch.nn.functional.logsigmoid(signed)).mean()}


@register("cams")
class CautiousCams(Cams):
    """The smaller value of an image's and its mirror image's maps."""

    method: Literal["cautious"] = "cautious"
    """Without scales."""


@cam_method("cautious")
def cautious_class_maps(classifier, image, class_indices, parameters):
    """Maps of the classes (see ``wsss_core.cams.methods.CamMethod``)."""
    batch = normalise(image)[None].to(next(classifier.parameters()))
    with torch.inference_mode():
        maps = classifier.class_maps(torch.cat([batch, batch.flip(3)]))[:, list(class_indices)].relu()
    summed = SummedMaps(*image.shape[:2])
    summed.add(torch.minimum(maps[0], maps[1].flip(2)), parameters.high_res)
    return summed
