"""Trainings whose steps several GPUs could not share, told before the hours that come before them."""

from collections.abc import Iterable

from wsss_core.config.references import used_variants
from wsss_core.config.root import Config
from wsss_core.config.training import Optimisation

SECTION_OF_RULE = {
    "prepare_backbone": "backbones",
    "train_classifier": "classifiers",
    "train_affinity": "affinities",
    "train_segmenter": "segmenters",
}
"""Rules whose jobs can use more than one GPU, and the section of what they train."""


def unshared_steps(config: Config) -> Iterable[str]:
    """A line for each variant that an experiment uses and whose steps make no equal shares for the rule's GPUs."""
    if config.runtime.device == "cpu":
        return
    used = {variant for name in config.experiments for variant in used_variants(config, name)}
    for rule, section in SECTION_OF_RULE.items():
        gpus = config.resources[rule].gpu if rule in config.resources else 1
        for name, variant in getattr(config, section).items():
            settings = getattr(variant, "pretext", None) if section == "backbones" else variant
            optimisation: Optimisation | None = getattr(settings, "optimisation", None)
            if gpus < 2 or (section, name) not in used or optimisation is None or optimisation.epochs == 0:
                continue
            images, parts = optimisation.batch_size, getattr(optimisation, "accumulate", 1)
            if images % gpus:
                fault = f"{gpus} GPUs cannot share the {images} images of a step of {section}.{name} equally"
                yield f"resources.{rule}.gpu: {fault}; choose another number, or another 'batch_size'"
            elif images // gpus % parts:
                fault = f"each of {gpus} GPUs has {images // gpus} images of a step, which make no {parts} equal parts"
                yield f"{section}.{name}.optimisation.accumulate: {fault}; choose a number that divides them, such as 1"
