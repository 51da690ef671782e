"""A CAM method of one's own: the smaller value of an image's and its mirror image's maps."""

from typing import Literal

import torch

from wsss_core.extend import Cams, SummedMaps, cam_method, normalise, register


@register("cams")
class CautiousCams(Cams):
    """What the classifier sees in both the image and its mirror image."""

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
