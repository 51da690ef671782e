"""Which artifacts an experiment is made of, and how they hang together."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from wsss_core.config import Config, Experiment
from wsss_core.config.averaging import REFINEMENTS
from wsss_core.config.background import Threshold
from wsss_core.config.cams import AdvCams
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.dataset import Dataset
from wsss_core.config.extensions import source_of
from wsss_core.config.parameters import Parameters
from wsss_core.config.refinement import LearnedAffinity, TrainingFreeAffinity
from wsss_core.config.segmentation import LargeFov
from wsss_core.config.stages import STAGES
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.errors import UserError
from wsss_core.plan.artifacts import Artifact
from wsss_core.plan.score_conditions import sources_of_weights

OTHER_IMAGES = ("imagenet", "coco", "timm")
"""Data sets that weights are known to come from; they may not go into the VOC server's comp5."""


class Plan:
    """All artifacts that a configuration's experiments need."""

    def __init__(self, config: Config, shared_with: "Plan | None" = None) -> None:
        """Lay out the artifacts of every experiment of a checked configuration.

        Args:
            config: the configuration.
            shared_with: another plan, which the artifacts become part of as well.
        """
        self.config = config
        self.folder = config.runtime.results / config.dataset.name
        self._artifacts: dict[tuple[str, str], Artifact] = {} if shared_with is None else shared_with._artifacts
        self.dataset = self._plan_dataset()
        of_masks = config.dataset.model_dump(mode="json", include=set(config.dataset.for_masks), exclude_defaults=True)
        self.masks = self._artifact("masks", config.dataset.format, of_masks, {"dataset": self.dataset})
        self.saliency = self._plan_saliency()
        """The checked saliency maps, if the data set has any."""
        self.experiments = {name: self._plan_experiment(item) for name, item in config.experiments.items()}
        """By experiment, the artifact of each stage it passes through."""
        self._submissions = self._plan_submissions()
        self.climbs = self._plan_climbs() if shared_with is None else {}
        """By experiment that uses AdvCAM, the artifact with the climbs that the report shows."""
        self.erasings = self._plan_erasings() if shared_with is None else {}
        """By classifier, the artifact with the erasings that the report shows."""
        self.climb_scores = self._plan_climb_scores() if shared_with is None else {}
        """By experiment whose settings ask for them, the artifact with the seed's scores after every step."""

    def artifact(self, stage: str, name: str) -> Artifact:
        """The artifact of this stage in the directory of this name.

        Raises:
            KeyError: no experiment of the configuration needs it.
        """
        return self._artifacts[stage, name.rpartition("-")[2]]

    def artifacts(self, stage: str | None = None) -> list[Artifact]:
        """All artifacts, or those of one stage, in the order of the experiments."""
        return [artifact for artifact in self._artifacts.values() if stage in (None, artifact.stage)]

    def _artifact(
        self, stage: str, variant: str, parameters: BaseModel | Mapping[str, Any], upstream: Mapping[str, Artifact]
    ) -> Artifact:
        """The artifact with this identity: the one planned before under any name, or a new one."""
        plain = parameters.model_dump(mode="json") if isinstance(parameters, BaseModel) else dict(parameters)
        artifact = Artifact(stage, variant, plain, upstream, self.folder / stage)
        return self._artifacts.setdefault((stage, artifact.digest), artifact)

    def _plan_dataset(self) -> Artifact:
        dataset = self.config.dataset
        upstream = {}
        if dataset.generated is not None:
            upstream["generated"] = self._artifact("generated", "creatures", dataset.generated, {})
        # The name decides the results folder and the generator's settings come in through upstream.
        # The test list changes nothing that is learned.
        excluded: dict[str, Any] = {
            "name": True,
            "generate": True,
            "splits": {"test"},
            "score_on": True,
            "saliency": True,
            "score_val": True,
            **dict.fromkeys(dataset.for_masks, True),
        }
        return self._artifact("dataset", dataset.format, _dataset_parameters(dataset, excluded), upstream)

    def _plan_saliency(self) -> Artifact | None:
        folder = self.config.dataset.saliency
        if folder is None:
            return None
        return self._artifact(
            "saliency", self.config.dataset.format, {"folder": str(folder)}, {"dataset": self.dataset}
        )

    def _plan_backbone(self, name: str) -> Artifact:
        settings = self.config.backbones[name]
        return self._artifact("backbone", name, {**settings.model_dump(mode="json"), **_extension(settings)}, {})

    def _plan_classifier(self, name: str) -> Artifact:
        settings = self.config.classifiers[name]
        upstream = {"dataset": self.dataset}
        if settings.start_from is not None:
            upstream["start_from"] = self._plan_classifier(settings.start_from)
        elif settings.weights is None:
            upstream["backbone"] = self._plan_backbone(settings.backbone)
        ordinary = getattr(settings, "ordinary", None)
        if ordinary is not None:
            upstream["ordinary"] = self._plan_classifier(ordinary)
        parameters = self._with_trunk(settings, settings.backbone, exclude=("start_from", "ordinary"))
        return self._artifact("classifier", name, parameters, upstream)

    def _with_trunk(self, settings: Parameters, backbone: str, exclude: Iterable[str] = ()) -> dict[str, Any]:
        """The settings as JSON values, with the trunk's own in place of its variant's name."""
        parameters = settings.model_dump(mode="json", exclude={"backbone", *exclude})
        return {
            **parameters,
            **_extension(settings),
            "trunk": describe_trunk(self.config.backbones[backbone]),
        }

    def _plan_cams(self, name: str) -> Artifact:
        settings = self.config.cams[name]
        # The threshold does not change the maps: seeds are scored at every threshold at once.
        for_scores = {"threshold", "score_every_step"}
        parameters = {**settings.model_dump(mode="json", exclude={"classifier", *for_scores}), **_extension(settings)}
        upstream = {"dataset": self.dataset, "classifier": self._plan_classifier(settings.classifier)}
        return self._artifact("cams", name, parameters, upstream)

    def _plan_start(self, settings: Any) -> Artifact:
        """The artifact whose weights a later network's trunk starts from."""
        if settings.backbone is not None:
            return self._plan_backbone(settings.backbone)
        return self._plan_classifier(settings.classifier)

    def _trunk_of(self, settings: Any) -> str:
        """The variant in ``backbones`` that says which trunk a later network has."""
        return settings.backbone or self.config.classifiers[settings.classifier].backbone

    def _plan_experiment(self, experiment: Experiment) -> dict[str, Artifact]:
        stages: dict[str, Artifact] = {}
        if experiment.cams is not None:
            self._plan_pseudo_labels(experiment, stages)
        if experiment.segmenter is not None:
            settings = self.config.segmenters[experiment.segmenter]
            trained = self._with_trunk(
                settings, self._trunk_of(settings), exclude=("classifier", "prediction", "fully_connected")
            )
            upstream = {"dataset": self.dataset}
            if settings.optimisation.epochs > 0:
                labels = self._plan_labels(experiment, stages)
                variant = "-".join([*labels, experiment.segmenter])
                roles = {"some_masks": "listed_masks", "corrected": "corrected_masks"}
                upstream |= {roles.get(word, "labels"): artifact for word, artifact in labels.items()}
                if experiment.masks_of is not None:
                    trained["masks_of"] = experiment.masks_of.identity
            else:  # an imported network, used as it is, whatever the labels
                variant = experiment.segmenter
            if settings.weights is None:
                upstream["initial"] = self._plan_start(settings)
            backbone = self.config.backbones[self._trunk_of(settings)]
            if isinstance(settings, LargeFov) and settings.takes_fully_connected(backbone):
                parameters = {"network": backbone.network, "channels": settings.channels}
                upstream["fully_connected"] = self._artifact("fully_connected", backbone.network, parameters, {})
            stages["segmenter"] = self._artifact("segmenter", variant, trained, upstream)
            upstream = {"dataset": self.dataset, "segmenter": stages["segmenter"]}
            stages["predictions"] = self._artifact("predictions", variant, settings.prediction, upstream)
        self._plan_stages_without_settings(stages)
        return stages

    def _plan_stages_without_settings(self, stages: dict[str, Artifact]) -> None:
        """What the table of stages says is made from others, and nothing else determines."""
        for name, stage in STAGES.items():
            if stage.upstream and stages.keys() >= set(stage.upstream) - {"dataset"}:
                upstream = {role: {"dataset": self.dataset, **stages}[role] for role in stage.upstream}
                variant = upstream[stage.upstream[-1]].variant
                stages[name] = self._artifact(name, variant, {}, upstream)

    def _plan_climbs(self) -> dict[str, Artifact]:
        """By experiment whose maps are AdvCAM's, the record of some climbs; nothing is made from it."""
        climbs = {}
        for name, stages in self.experiments.items():
            variant = self.config.experiments[name].cams
            images = self.config.report.climbs
            if images > 0 and variant is not None and type(self.config.cams[variant]) is AdvCams:
                cams = stages["cams"]
                parameters = {"images": images, "cams": dict(cams.parameters)}
                climbs[name] = self._artifact("climb", cams.variant, parameters, cams.upstream)
        return climbs

    def _plan_erasings(self) -> dict[str, Artifact]:
        """By classifier that has class maps, and that maps are drawn from or that judges a CGNet's, some erasings."""
        erasings: dict[str, Artifact] = {}
        images = self.config.report.erasings
        for stages in self.experiments.values() if images > 0 else ():
            used = stages.get("classifier")
            for classifier in filter(None, [used and used.upstream.get("ordinary"), used]):
                if not self.config.classifiers[classifier.variant].has_class_maps:
                    continue
                upstream = {"dataset": self.dataset, "classifier": classifier}
                erasing = self._artifact("erasing", classifier.variant, {"images": images}, upstream)
                erasings.setdefault(classifier.variant, erasing)
        return erasings

    def _plan_climb_scores(self) -> dict[str, Artifact]:
        """By experiment whose AdvCAM is to be scored after every step, those scores; nothing is made from them."""
        scored = {}
        for name, stages in self.experiments.items():
            variant = self.config.experiments[name].cams
            settings = None if variant is None else self.config.cams[variant]
            if isinstance(settings, AdvCams) and settings.score_every_step:
                if type(settings) is not AdvCams:
                    raise UserError(
                        f"cams.{variant}.score_every_step: only 'method: advcam' itself is scored after each step, and "
                        f"'{settings.method}' is an extension's; leave it out, or set it to false"
                    )
                cams = stages["cams"]
                parameters: dict[str, Any] = {"cams": dict(cams.parameters)}
                if self.config.dataset.scored_list is not None:
                    parameters["scored_list"] = self.config.dataset.scored_list
                upstream = {**cams.upstream, "masks": self.masks}
                scored[name] = self._artifact("climb_scores", cams.variant, parameters, upstream)
        return scored

    def _plan_submissions(self) -> dict[str, Artifact]:
        """By experiment with a segmenter, the VOC server's archive; none without a list of test images."""
        dataset = self.config.dataset
        if dataset.test_list is None:
            return {}
        excluded = ("name", "generate", "score_on", "score_val", "saliency")
        parameters = _dataset_parameters(dataset, dict.fromkeys(excluded, True))
        images = self._artifact("test_images", dataset.format, parameters, {})
        submissions = {}
        for name, stages in self.experiments.items():
            if "predictions" not in stages:
                continue
            like = stages["predictions"]
            parameters = {key: value for key, value in like.parameters.items() if key != "keep_probabilities"}
            upstream = {"dataset": images, "segmenter": like.upstream["segmenter"]}
            predictions = self._artifact("test_predictions", like.variant, parameters, upstream)
            upstream = {"dataset": images, "predictions": predictions}
            competition = self.config.experiments[name].competition
            variant = f"{like.variant}-{competition}"
            submissions[name] = self._artifact("voc_submission", variant, {"competition": competition}, upstream)
        return submissions

    def voc_submissions(self) -> dict[str, Artifact]:
        """The archives for the VOC server, by experiment.

        Raises:
            UserError: there is no list of test images, no segmenter, the classes are not VOC's, or weights that were
                trained on other images are to go into comp5.
        """
        dataset = self.config.dataset
        if dataset.test_list is None:
            raise UserError("dataset.splits.test: is missing; name the list of the test images (VOC's is 'test')")
        if dataset.class_names != VOC_CLASSES:
            raise UserError("dataset.classes: the VOC server knows VOC's twenty classes in their own order only")
        if not self._submissions:
            raise UserError("experiments: none has a 'segmenter', whose label maps the VOC server could score")
        for name, archive in self._submissions.items():
            other = sorted(s for s in sources_of_weights(archive) if any(w in s.casefold() for w in OTHER_IMAGES))
            if archive.parameters["competition"] == "comp5" and other:
                raise UserError(
                    f"experiments.{name}.competition: comp5 is for weights that saw VOC's own images alone, and these "
                    f"go back to {' and '.join(other)}; it is comp6"
                )
        return self._submissions

    def _plan_labels(self, experiment: Experiment, stages: dict[str, Artifact]) -> dict[str, Artifact]:
        """What a segmenter is trained on, in a word each."""
        labels = {} if experiment.labels == "masks" else {stages["pseudo_labels"].variant: stages["pseudo_labels"]}
        if experiment.masks_of is not None and experiment.masks_of.folder is not None:
            folder = {"folder": experiment.masks_of.folder}
            upstream = {"dataset": self.dataset}
            stages["corrected_masks"] = self._artifact("corrected_masks", "corrected", folder, upstream)
            labels["corrected"] = stages["corrected_masks"]
        elif experiment.masks_of is not None:
            subset = {"subset": experiment.masks_of.file}
            stages["listed_masks"] = self._artifact("listed_masks", "listed", subset, {"masks": self.masks})
            labels["some_masks"] = stages["listed_masks"]
        return labels or {"masks": self.masks}

    def _plan_threshold(self, choice: Threshold, maps: Artifact) -> Artifact:
        """The choice of a threshold by ``maps``, and by their scores unless a rule goes without masks."""
        parameters = choice.model_dump(mode="json", exclude={"fixed"})
        if choice.best_on == "train" and self.config.dataset.scored_list is not None:
            parameters["scored_list"] = self.config.dataset.scored_list
        by_masks = {} if choice.rule is not None else {"masks": self.masks}
        return self._artifact("threshold", maps.variant, parameters, {"maps": maps, **by_masks})

    def _plan_pseudo_labels(self, experiment: Experiment, stages: dict[str, Artifact]) -> None:
        assert experiment.cams is not None
        cams = stages["cams"] = self._plan_cams(experiment.cams)
        stages["classifier"] = cams.upstream["classifier"]
        seed_threshold = self.config.cams[experiment.cams].threshold
        if seed_threshold.fixed is None:
            stages["seed_threshold"] = self._plan_threshold(seed_threshold, cams)
        if experiment.affinity is None:
            return
        settings = self.config.affinities[experiment.affinity]
        variant = f"{experiment.cams}-{experiment.affinity}"
        maps = cams
        if isinstance(settings, LearnedAffinity):
            maps = self._plan_walk(settings, variant, seed_threshold, stages)
        elif isinstance(settings, TrainingFreeAffinity):
            looked_at = settings.backbone is not None or settings.classifier is not None
            network = self._plan_start(settings) if looked_at else None
            maps = self._plan_walked_cams(settings, variant, cams, network, stages)
        background = settings.pseudo_labels.background
        parameters = {"pseudo_labels": settings.pseudo_labels.model_dump(mode="json")}
        upstream = {"dataset": self.dataset, "maps": maps}
        if settings.pseudo_labels.sam_masks is not None:
            folder = {"folder": settings.pseudo_labels.sam_masks.folder}
            masks = self._artifact("sam_masks", "segments", folder, {"dataset": self.dataset})
            stages["sam_masks"] = upstream["sam_masks"] = masks
        if background.threshold is not None and background.threshold.fixed is None:
            stages["threshold"] = upstream["threshold"] = self._plan_threshold(background.threshold, maps)
        _add_seed_threshold(background.times_seed_threshold is not None, seed_threshold, stages, parameters, upstream)
        if background.saliency is not None:
            assert self.saliency is not None  # see wsss_core.config.supervision
            stages["saliency"] = upstream["saliency"] = self.saliency
        stages["pseudo_labels"] = self._artifact("pseudo_labels", variant, parameters, upstream)

    def _plan_walk(
        self, settings: LearnedAffinity, variant: str, seed_threshold: Threshold, stages: dict[str, Artifact]
    ) -> Artifact:
        """What lies between the class maps and the pseudo labels: labels, training, walk."""
        cams, labels = stages["cams"], settings.labels
        # Scored and not used, so nothing else depends on it. Affinities may share it, and the labels below: neither is
        # named by one of them.
        parameters: dict[str, Any] = {
            "background": labels.refined_seed.model_dump(mode="json"),
            **labels.model_dump(mode="json", include=set(REFINEMENTS)),
        }
        upstream = {"dataset": self.dataset, "cams": cams}
        follows = labels.refined_seed.times_seed_threshold is not None
        _add_seed_threshold(follows, seed_threshold, stages, parameters, upstream)
        stages["refined_seeds"] = self._artifact("refined_seeds", cams.variant, parameters, upstream)
        parameters = {"labels": labels.model_dump(mode="json", exclude={"refined_seed"})}
        if settings.optimisation.epochs > 0:  # else it is an imported network, used as it is
            upstream = {"dataset": self.dataset, "cams": cams}
            follows = any(score.times_seed_threshold is not None for score in (labels.foreground, labels.background))
            _add_seed_threshold(follows, seed_threshold, stages, parameters, upstream)
            stages["affinity_labels"] = self._artifact("affinity_labels", cams.variant, parameters, upstream)
        parameters = self._with_trunk(
            settings, self._trunk_of(settings), exclude=("classifier", "labels", "walk", "pseudo_labels")
        )
        upstream = {"dataset": self.dataset}
        if "affinity_labels" in stages:
            upstream["affinity_labels"] = stages["affinity_labels"]
        if settings.weights is None:
            upstream["initial"] = self._plan_start(settings)
        affinity = stages["affinity"] = self._artifact("affinity", variant, parameters, upstream)
        return self._plan_walked_cams(settings, variant, cams, affinity, stages)

    def _plan_walked_cams(
        self,
        settings: LearnedAffinity | TrainingFreeAffinity,
        variant: str,
        cams: Artifact,
        affinity: Artifact | None,
        stages: dict[str, Artifact],
    ) -> Artifact:
        """The class maps spread along affinities; ``affinity`` holds the network that these are of, if there is one."""
        parameters = {
            "method": settings.method,  # type: ignore[union-attr]
            "walk": settings.walk.model_dump(mode="json"),
            "walked_alpha": settings.pseudo_labels.background.walked_alpha,
            **_extension(settings),
        }
        upstream = {"dataset": self.dataset, "cams": cams, **({} if affinity is None else {"affinity": affinity})}
        stages["walked_cams"] = self._artifact("walked_cams", variant, parameters, upstream)
        return stages["walked_cams"]


def _dataset_parameters(dataset: Dataset, excluded: dict[str, Any]) -> dict[str, Any]:
    """The settings of the data set as JSON values, without those ``excluded``.

    ``long_side`` and ``negatives`` are there only where they say something else than was done before there were such
    keys, so that results from then keep their digests.
    """
    parameters = dataset.model_dump(mode="json", exclude=excluded)
    if parameters["long_side"] is None:
        del parameters["long_side"]
    if parameters["negatives"] == "none":
        del parameters["negatives"]
    return parameters


def _add_seed_threshold(
    follows: bool,
    seed_threshold: Threshold,
    stages: Mapping[str, Artifact],
    parameters: dict[str, Any],
    upstream: dict[str, Artifact],
) -> None:
    """Make the seed's threshold part of an artifact, if it follows that: as a number, or as what is upstream."""
    parameters["seed_threshold"] = seed_threshold.fixed if follows else None
    if follows and seed_threshold.fixed is None:
        upstream["seed_threshold"] = stages["seed_threshold"]


def _extension(settings: Parameters) -> dict[str, Any]:
    """The extension that the settings' kind comes from, as a parameter; nothing for the package's own kinds."""
    source = source_of(settings)
    return {} if source is None else {"extension": dict(source)}
