"""Perturbations of features, for cross-consistency training (Ouali et al., CVPR 2020, section 3.2).

Constants are from the authors' configuration for PASCAL VOC (CCT ``configs/config.json``, ``models/decoders.py``). All
perturbations use torch's global generators.
"""

from collections.abc import Callable

import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from wsss_core.jobs.devices import moved

NOISE = 0.3
"""Largest change of a feature, as a multiple of it."""
DROPPED_ABOVE = (0.7, 0.9)
"""Range of the threshold on channel means, as a share of the largest, above which places are dropped."""
DROPOUT = 0.5
"""Share of dropped channels."""
CUT_OUT = 0.4
"""Height and width of the part to cut out of an object's bounding box, as a share of the box's."""
ADVERSARIAL_STEP = 2.0
"""Length of the adversarial change of an image's features."""
PROBE = 0.1
"""Length of the small change that finds the adversarial direction: the default of CCT's function. CCT's configuration
has 1e-6, a change that float32 cannot add to a feature, so that the direction would be that of rounding errors."""

Perturbation = Callable[[Tensor, Tensor, nn.Module], Tensor]
"""Perturbs features (B, C, h, w), given the pixels of objects (B, H, W) bool, of the same size or finer, and the
decoder."""


def noise(features: Tensor) -> Tensor:
    """Multiply each feature by 1 + u, with u uniform in -0.3..0.3 and the same in all images.

    Args:
        features: (B, C, h, w).
    """
    return features * (1 + NOISE * (2 * torch.rand_like(features[:1]) - 1))


def drop_strongest(features: Tensor) -> Tensor:
    """Set the places of the strongest features to 0.

    Args:
        features: (B, C, h, w); the strength of a place is its mean over channels.
    """
    strength = features.mean(dim=1, keepdim=True)
    low, high = DROPPED_ABOVE
    share = low + (high - low) * torch.rand((), device=features.device)
    return features * (strength < share * strength.amax(dim=(2, 3), keepdim=True))


def cut_out(features: Tensor, objects: Tensor) -> Tensor:
    """Set a random part of each object's bounding box to 0.

    This waits for the device, because objects are separated on the host. CCT leaves out objects whose outline has 50
    corners or fewer; here every object is used.

    Args:
        features: (B, C, h, w).
        objects: (B, H, W) bool, of the features' size or finer; pixels connected by sides are one object.
    """
    kept = torch.ones(objects.shape, dtype=torch.bool)
    for image, mask in enumerate(objects.cpu().numpy()):
        for box in ndimage.find_objects(ndimage.label(mask)[0]):
            rows, columns = (_part_of(side.start, side.stop) for side in box)
            kept[image, rows, columns] = 0
    return features * _at_features(moved(kept, features.device), features)


def _at_features(places: Tensor, features: Tensor) -> Tensor:
    """Resize (B, H, W) bool to (B, 1, h, w) bool of the features' size, by nearest neighbours like CCT."""
    size = features.shape[2:]
    places = places[:, None]
    if places.shape[2:] == size:
        return places
    return functional.interpolate(places.float(), size=size, mode="nearest") > 0


def _part_of(start: int, stop: int) -> slice:
    """A random part of a side of a box."""
    cut = max(1, round(CUT_OUT * (stop - start)))
    start += int(torch.randint(stop - start - cut + 1, ()))
    return slice(start, start + cut)


def adversarial(features: Tensor, decoder: nn.Module) -> Tensor:
    """Add the change, of length 2 in each image, that changes a decoder's probabilities most.

    One step of virtual adversarial training (Miyato et al., TPAMI 2018): the direction is the gradient of the
    Kullback-Leibler divergence at a small random change.

    Args:
        features: (B, C, h, w).
        decoder: computes logits (B, K + 1, h, w) from features.
    """
    with torch.autocast(features.device.type, enabled=False):  # differences of probabilities are small
        given = features.detach()
        given = given if given.dtype == torch.float64 else given.float()
        with torch.no_grad():
            probabilities = decoder(given).softmax(dim=1)
        direction = _of_length(torch.randn_like(given), PROBE).requires_grad_()
        with torch.enable_grad():
            changed = decoder(given + direction).log_softmax(dim=1)
            distance = functional.kl_div(changed, probabilities, reduction="sum")
            (gradient,) = torch.autograd.grad(distance, direction)
    return features + _of_length(gradient, ADVERSARIAL_STEP)


def _of_length(change: Tensor, length: float) -> Tensor:
    """Scale each image's change (B, C, h, w) to a Euclidean length; zeros stay zeros."""
    norm = change.flatten(1).norm(dim=1).clamp(min=torch.finfo(change.dtype).tiny)
    return change * (length / norm)[:, None, None, None]


PERTURBATIONS: dict[str, Perturbation] = {
    "noise": lambda features, objects, decoder: noise(features),
    "drop": lambda features, objects, decoder: drop_strongest(features),
    "dropout": lambda features, objects, decoder: functional.dropout2d(features, DROPOUT),
    "cutout": lambda features, objects, decoder: cut_out(features, objects),
    "without_objects": lambda features, objects, decoder: features * ~_at_features(objects, features),
    "without_context": lambda features, objects, decoder: features * _at_features(objects, features),
    "adversarial": lambda features, objects, decoder: adversarial(features, decoder),
}
"""The perturbations by their name in ``consistency.decoders``."""
