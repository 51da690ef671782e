"""Cross-consistency training (Ouali et al., CVPR 2020): auxiliary decoders on perturbed features."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from wsss_core.config.segmentation import Segmenter
from wsss_core.config.semi_supervised import Consistency
from wsss_core.networks.deeplab import SegmentationNetwork
from wsss_core.networks.resizing import resized
from wsss_core.segmentation.losses import BACKGROUND, segmentation_losses
from wsss_core.segmentation.perturbations import PERTURBATIONS
from wsss_core.training.distributed import mean_over_processes


class CrossConsistency(nn.Module):
    """A segmenter and its auxiliary decoders for training (``SegmentationNetwork.auxiliary_decoder``).

    Attributes:
        network: the segmenter.
        decoders: the auxiliary decoders; ``kinds`` has the perturbation of each.
        passes: how often losses were computed, in the state dict so that a resumed training continues its ramp-up;
            ``done`` is the same number on the host.
    """

    passes: Tensor

    def __init__(self, network: SegmentationNetwork, settings: Consistency, passes: int) -> None:
        """Add randomly initialised decoders to ``network``.

        Args:
            network: the segmenter.
            settings: decoders, weights and ramp-up.
            passes: how often losses will be computed in the whole training.
        """
        super().__init__()
        self.network, self.settings = network, settings
        self.kinds = [kind for kind, count in settings.decoders.counts.items() for _ in range(count)]
        self.decoders = nn.ModuleList(network.auxiliary_decoder() for _ in self.kinds)
        self.ramp = settings.ramp_up * passes
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
        self.done = 0
        self.register_load_state_dict_post_hook(_count_on)

    def losses(
        self, maps: Sequence[Tensor], logits: Tensor, labels: Tensor, others: Tensor, parameters: Segmenter
    ) -> dict[str, Tensor]:
        """The weighted losses of the auxiliary decoders on the images without a mask.

        Args:
            maps: the result of the network's ``encode`` for a batch; the last is (B, C, h, w).
            logits: the main decoder's (B, K + 1, h', w') for the same images; they get no gradient from these losses.
            labels: (B, H, W) integers, 255 without a label.
            others: int64, the positions in the batch of images without a mask.
            parameters: how decoders are compared with pseudo labels.

        Returns:
            ``consistency``, the mean over decoders of the mean squared difference of probabilities, and, unless its
            weight is 0, ``auxiliary``, the decoders' mean loss on the pseudo labels. Both are weighted.
        """
        rise = ramp_up(self.done, self.ramp)
        self.done += 1
        self.passes += 1
        features = maps[-1][others]
        compared = features if self.network.auxiliary_at_features else logits
        height, width = size = (compared.shape[2], compared.shape[3])
        with torch.no_grad():
            main = resized(logits[others].float(), size)
            objects, wanted = main.argmax(dim=1) != BACKGROUND, main.softmax(dim=1)
        scores = [
            decoder(PERTURBATIONS[kind](features, objects, decoder))[:, :, :height, :width].float()
            for kind, decoder in zip(self.kinds, self.decoders, strict=True)
        ]
        squares = torch.stack([(part.softmax(dim=1) - wanted).square().sum() for part in scores]).mean()
        number = mean_over_processes(torch.full((), wanted.numel(), device=wanted.device))
        losses = {"consistency": rise * self.settings.weight * squares / number.clamp(min=1)}
        if self.settings.pseudo_weight > 0:
            own = segmentation_losses(scores, labels[others], parameters).mean()
            losses["auxiliary"] = rise * self.settings.pseudo_weight * own
        return losses


def _count_on(module: nn.Module, incompatible_keys: Any) -> None:
    """Continue counting after a state was loaded."""
    module.done = int(module.passes)  # type: ignore[assignment,arg-type]


def ramp_up(done: int, ramp: float) -> float:
    """The share of their full weight that the losses on images without masks have.

    Args:
        done: number of earlier passes.
        ramp: number of passes over which the weight rises; may be 0.

    Returns:
        exp(-5 (1 - t)^2), with t rising from 0 at the first pass to 1 at the end of the ramp.
    """
    remaining = 1 - min(1.0, done / ramp) if ramp > 0 else 0.0
    return math.exp(-5 * remaining**2)
