"""Background scores that are multiples of a seed's threshold must be valid thresholds."""

from collections.abc import Iterable

from wsss_core.config.background import is_out_of_range
from wsss_core.config.refinement import LearnedAffinity
from wsss_core.config.root import Config


def unfit_multiples(config: Config) -> Iterable[str]:
    """A line for each multiple of a fixed threshold, in an experiment, that is not between 0.01 and 0.99."""
    found: dict[str, None] = {}  # in order, without duplicates
    for experiment in config.experiments.values():
        if experiment.cams is None or experiment.affinity is None:
            continue
        seed_threshold = config.cams[experiment.cams].threshold.fixed
        affinity = config.affinities[experiment.affinity]
        backgrounds = {"pseudo_labels.background": affinity.pseudo_labels.background.times_seed_threshold}
        if isinstance(affinity, LearnedAffinity):
            for key in ("foreground", "background", "refined_seed"):
                backgrounds[f"labels.{key}"] = getattr(affinity.labels, key).times_seed_threshold
        for key, times in backgrounds.items():
            if seed_threshold is not None and times is not None and is_out_of_range(times, seed_threshold):
                found[
                    f"affinities.{experiment.affinity}.{key}.times_seed_threshold: {times:g} times the threshold "
                    f"{seed_threshold:g} of cams.{experiment.cams} is {times * seed_threshold:g}; "
                    "it must lie between 0.01 and 0.99"
                ] = None
    return found
