"""The archives of test predictions for the VOC server, and what the server refuses."""

from collections.abc import Mapping

from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.errors import UserError
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.base_plan import BasePlan, dataset_parameters
from wsss_core.plan.weights_in_words import sources_of_weights

OTHER_IMAGES = ("imagenet", "coco", "timm")
"""Sources of weights other than VOC, which the VOC server's comp5 does not allow."""


def plan_submissions(plan: BasePlan, experiments: Mapping[str, Mapping[str, Artifact]]) -> dict[str, Artifact]:
    """The archive of each experiment with a segmenter; none without a list of test images."""
    dataset = plan.config.dataset
    if dataset.test_list is None:
        return {}
    excluded = ("name", "generate", "score_on", "score_val", "saliency")
    parameters = dataset_parameters(dataset, dict.fromkeys(excluded, True))
    images = plan.add("test_images", dataset.format, parameters, {})
    submissions = {}
    for name, stages in experiments.items():
        if "predictions" not in stages:
            continue
        like = stages["predictions"]
        parameters = {key: value for key, value in like.parameters.items() if key != "keep_probabilities"}
        upstream = {"dataset": images, "segmenter": like.upstream["segmenter"]}
        predictions = plan.add("test_predictions", like.variant, parameters, upstream)
        upstream = {"dataset": images, "predictions": predictions}
        competition = plan.config.experiments[name].competition
        variant = f"{like.variant}-{competition}"
        submissions[name] = plan.add("voc_submission", variant, {"competition": competition}, upstream)
    return submissions


def check_submissions(plan: BasePlan, submissions: Mapping[str, Artifact]) -> None:
    """Refuse archives that the VOC server would refuse.

    Raises:
        UserError: there is no list of test images or no segmenter, the classes are not VOC's, or an experiment for
            comp5 uses weights that were trained on other images.
    """
    dataset = plan.config.dataset
    if dataset.test_list is None:
        raise UserError("dataset.splits.test: is missing; name the list of the test images (VOC's is 'test')")
    if dataset.class_names != VOC_CLASSES:
        raise UserError("dataset.classes: the VOC server knows only VOC's twenty classes, in their own order")
    if not submissions:
        raise UserError("experiments: none has a 'segmenter' with label maps that the VOC server could score")
    for name, archive in submissions.items():
        other = sorted(s for s in sources_of_weights(archive) if any(w in s.casefold() for w in OTHER_IMAGES))
        if archive.parameters["competition"] == "comp5" and other:
            raise UserError(
                f"experiments.{name}.competition: comp5 is for weights that saw only VOC's own images, but these go "
                f"back to {' and '.join(other)}; use comp6"
            )
