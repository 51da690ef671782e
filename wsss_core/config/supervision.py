"""Checks that an experiment's masks, saliency maps, pseudo labels and segmenter go together."""

from collections.abc import Iterable

from wsss_core.config.root import Config, Experiment
from wsss_core.config.segmentation import Segmenter


def unfit_supervision(config: Config) -> Iterable[str]:
    """A line for each setting of an experiment's labels that lacks something, or would have no effect."""
    yield from _lacking_saliency(config)
    for name, experiment in config.experiments.items():
        if experiment.segmenter is not None:
            segmenter = config.segmenters[experiment.segmenter]
            for key, fault in _faults(experiment, segmenter, f"segmenters.{experiment.segmenter}"):
                yield f"experiments.{name}.{key}: {fault}"


def _lacking_saliency(config: Config) -> Iterable[str]:
    used = {experiment.affinity: None for experiment in config.experiments.values() if experiment.affinity is not None}
    for name in used if config.dataset.saliency is None else ():
        if config.affinities[name].pseudo_labels.background.saliency is not None:
            yield (
                f"affinities.{name}.pseudo_labels.background.saliency: needs saliency maps; give their folder as "
                "'dataset.saliency'"
            )


def _faults(experiment: Experiment, segmenter: Segmenter, which: str) -> Iterable[tuple[str, str]]:
    """Keys of the experiment, and what is wrong with each."""
    chosen = experiment.masks_of
    if chosen is None:
        if experiment.labels == "masks" and segmenter.consistency is not None:
            yield "segmenter", f"{which}.consistency is for images without masks, and labels: masks leaves none"
        return
    if segmenter.optimisation.epochs == 0:
        yield "masks_of", f"{which} is not trained ('epochs: 0'), so no mask is used"
    if segmenter.consistency is None:
        if experiment.labels == "masks" and chosen.share is not None:
            yield "masks_of.share", f"all images of each step have masks, as {which} has no 'consistency'"
        if experiment.labels == "pseudo" and chosen.pseudo_weight == 0:
            yield (
                "masks_of.pseudo_weight",
                f"must be above 0, as {which} has no 'consistency'; labels: masks trains only on the listed masks",
            )
