"""Artifacts that nothing else is made from: climbs and erasings for the report, and AdvCAM's scores after each step."""

from collections.abc import Mapping
from typing import Any

from wsss_core.config.cams import AdvCams
from wsss_core.errors import UserError
from wsss_core.plan.artifacts import Artifact, drawn_maps
from wsss_core.plan.base_plan import BasePlan

Experiments = Mapping[str, Mapping[str, Artifact]]
"""By experiment, the artifact of each stage that it passes through."""


def plan_climbs(plan: BasePlan, experiments: Experiments) -> dict[str, Artifact]:
    """The recorded climbs of each experiment with AdvCAM's maps."""
    climbs = {}
    for name, stages in experiments.items():
        variant = plan.config.experiments[name].cams
        images = plan.config.report.climbs
        if images > 0 and variant is not None and type(plan.config.cams[variant]) is AdvCams:
            cams = drawn_maps(stages["cams"])
            parameters = {"images": images, "cams": dict(cams.parameters)}
            climbs[name] = plan.add("climb", cams.variant, parameters, cams.upstream)
    return climbs


def plan_erasings(plan: BasePlan, experiments: Experiments) -> dict[str, Artifact]:
    """The recorded erasings of each classifier with class maps that an experiment's maps, or its CGNet, depend on."""
    erasings: dict[str, Artifact] = {}
    images = plan.config.report.erasings
    for stages in experiments.values() if images > 0 else ():
        used = stages.get("classifier")
        for classifier in filter(None, [used and used.upstream.get("ordinary"), used]):
            if not plan.config.classifiers[classifier.variant].has_class_maps:
                continue
            upstream = {"dataset": plan.dataset, "classifier": classifier}
            erasing = plan.add("erasing", classifier.variant, {"images": images}, upstream)
            erasings.setdefault(classifier.variant, erasing)
    return erasings


def plan_climb_scores(plan: BasePlan, experiments: Experiments) -> dict[str, Artifact]:
    """The scores after every step, for each experiment whose AdvCAM settings ask for them."""
    scored = {}
    for name, stages in experiments.items():
        variant = plan.config.experiments[name].cams
        settings = None if variant is None else plan.config.cams[variant]
        if isinstance(settings, AdvCams) and settings.score_every_step:
            if type(settings) is not AdvCams:
                raise UserError(
                    f"cams.{variant}.score_every_step: only 'method: advcam' itself can be scored after each step, but "
                    f"'{settings.method}' is an extension's; leave it out, or set it to false"
                )
            cams = drawn_maps(stages["cams"])
            parameters: dict[str, Any] = {"cams": dict(cams.parameters)}
            if plan.config.dataset.scored_list is not None:
                parameters["scored_list"] = plan.config.dataset.scored_list
            upstream = {**cams.upstream, "masks": plan.masks}
            scored[name] = plan.add("climb_scores", cams.variant, parameters, upstream)
    return scored
