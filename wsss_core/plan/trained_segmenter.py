"""A segmenter for use after its training: an experiment's, or one that is only a file."""

from dataclasses import dataclass
from pathlib import Path

from wsss_core.config.loading import unknown_name
from wsss_core.config.sections import SECTIONS
from wsss_core.config.segmentation import Prediction
from wsss_core.errors import UserError
from wsss_core.plan.plan import Plan


@dataclass(frozen=True)
class TrainedSegmenter:
    """A segmenter's file, and how it is applied."""

    weights: Path
    """The file, which describes the network and its classes."""
    prediction: Prediction
    """Scales, flip, CRF."""
    long_side: int | None = None
    """What larger images were shrunk to, if they were."""
    device: str = "auto"
    """The device that it computes on."""


def segmenter_of_experiment(plan: Plan, name: str, options: str = "") -> TrainedSegmenter:
    """The trained segmenter of an experiment, applied as for its predictions.

    Args:
        plan: of the configuration.
        name: the experiment's.
        options: Snakemake's options for this configuration, for a command that makes what is missing.

    Raises:
        UserError: there is no such experiment, it has no segmenter, or the segmenter is not trained yet.
    """
    if name not in plan.experiments:
        raise UserError(unknown_name(("--experiment",), "no such experiment", name, plan.experiments))
    stages, variant = plan.experiments[name], plan.config.experiments[name].segmenter
    if variant is None or "segmenter" not in stages:
        able = ", ".join(other for other, stages in plan.experiments.items() if "segmenter" in stages) or "none"
        raise UserError(f"--experiment: '{name}' has no segmenter; these experiments have one: {able}")
    weights = Path(stages["segmenter"].path("weights.safetensors"))
    if not weights.exists():
        raise UserError(
            f"experiment '{name}': {weights} is not made yet; `snakemake segmenter{options}` trains the segmenter"
        )
    config = plan.config
    return TrainedSegmenter(
        weights, config.segmenters[variant].prediction, config.dataset.long_side, config.runtime.device
    )


def segmenter_of_file(weights: Path, network: str) -> TrainedSegmenter:
    """A segmenter without a configuration, applied with the defaults for its kind of network.

    Args:
        weights: its file.
        network: the value of the configuration's key ``network``, from the file.
    """
    kind = SECTIONS["segmenters"].kind(network)
    return TrainedSegmenter(weights, kind.model_fields["prediction"].default)
