"""The artifacts that experiments consist of, and how they depend on each other."""

from collections.abc import Iterable, Mapping
from typing import Any

from wsss_core.config import Config, Experiment
from wsss_core.config.averaging import REFINEMENTS
from wsss_core.config.background import Threshold
from wsss_core.config.extensions import source_of
from wsss_core.config.parameters import Parameters
from wsss_core.config.refinement import LearnedAffinity, TrainingFreeAffinity
from wsss_core.config.segmentation import LargeFov
from wsss_core.config.stages import STAGES
from wsss_core.config.trunk_description import describe_trunk
from wsss_core.plan.artifacts import Artifact, drawn_maps
from wsss_core.plan.base_plan import BasePlan
from wsss_core.plan.records import plan_climb_scores, plan_climbs, plan_erasings
from wsss_core.plan.submissions import check_submissions, plan_submissions


class Plan(BasePlan):
    """All artifacts that a configuration's experiments need."""

    def __init__(self, config: Config, shared_with: "Plan | None" = None) -> None:
        """Plan the artifacts of every experiment of a checked configuration.

        Args:
            config: the configuration.
            shared_with: another plan, to which all artifacts are added as well.
        """
        super().__init__(config, shared_with)
        self.experiments = {name: self._plan_experiment(item) for name, item in config.experiments.items()}
        """By experiment, the artifact of each stage that it passes through."""
        self._submissions = plan_submissions(self, self.experiments)
        alone = shared_with is None  # what the report shows is not made for points of a sweep
        self.climbs = plan_climbs(self, self.experiments) if alone else {}
        """By experiment that uses AdvCAM, the artifact with the climbs that the report shows."""
        self.erasings = plan_erasings(self, self.experiments) if alone else {}
        """By classifier, the artifact with the erasings that the report shows."""
        self.climb_scores = plan_climb_scores(self, self.experiments) if alone else {}
        """By experiment whose settings ask for them, the artifact with the seed's scores after every step."""
        self.climb_thresholds = self._plan_climb_thresholds()
        """By experiment with a climb and balanced maps: the choice of the drawn maps' threshold, if one is chosen."""

    def voc_submissions(self) -> dict[str, Artifact]:
        """The archives for the VOC server, by experiment.

        Raises:
            UserError: the server would refuse them, see :func:`wsss_core.plan.submissions.check_submissions`.
        """
        check_submissions(self, self._submissions)
        return self._submissions

    def _plan_backbone(self, name: str) -> Artifact:
        settings = self.config.backbones[name]
        return self.add("backbone", name, {**settings.model_dump(mode="json"), **_extension(settings)}, {})

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
        return self.add("classifier", name, parameters, upstream)

    def _with_trunk(self, settings: Parameters, backbone: str, exclude: Iterable[str] = ()) -> dict[str, Any]:
        """The settings as JSON values, with the trunk's settings instead of its variant's name."""
        parameters = settings.model_dump(mode="json", exclude={"backbone", *exclude})
        return {
            **parameters,
            **_extension(settings),
            "trunk": describe_trunk(self.config.backbones[backbone]),
        }

    def _plan_cams(self, name: str) -> Artifact:
        settings = self.config.cams[name]
        # The threshold does not change the maps: seeds are scored at every threshold at once.
        excluded = {"classifier", "threshold", "score_every_step", "balance_classes"}
        parameters = {**settings.model_dump(mode="json", exclude=excluded), **_extension(settings)}
        upstream = {"dataset": self.dataset, "classifier": self._plan_classifier(settings.classifier)}
        drawn = self.add("cams", name, parameters, upstream)
        if not settings.balance_classes:
            return drawn
        return self.add("cams", name, {**parameters, "balance_classes": True}, {**upstream, "drawn": drawn})

    def _plan_start(self, settings: Any) -> Artifact:
        """The artifact whose weights a later network's trunk starts from."""
        if settings.backbone is not None:
            return self._plan_backbone(settings.backbone)
        return self._plan_classifier(settings.classifier)

    def _trunk_of(self, settings: Any) -> str:
        """The variant in ``backbones`` with the trunk of a later network."""
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
                upstream["fully_connected"] = self.add("fully_connected", backbone.network, parameters, {})
            stages["segmenter"] = self.add("segmenter", variant, trained, upstream)
            upstream = {"dataset": self.dataset, "segmenter": stages["segmenter"]}
            stages["predictions"] = self.add("predictions", variant, settings.prediction, upstream)
        self._plan_stages_without_settings(stages)
        return stages

    def _plan_stages_without_settings(self, stages: dict[str, Artifact]) -> None:
        """Plan the stages that only other stages determine, according to the table of stages."""
        for name, stage in STAGES.items():
            if stage.upstream and stages.keys() >= set(stage.upstream) - {"dataset"}:
                upstream = {role: {"dataset": self.dataset, **stages}[role] for role in stage.upstream}
                variant = upstream[stage.upstream[-1]].variant
                stages[name] = self.add(name, variant, {}, upstream)

    def _plan_labels(self, experiment: Experiment, stages: dict[str, Artifact]) -> dict[str, Artifact]:
        """The label maps and masks that a segmenter is trained on, each with a word for the variant's name."""
        labels = {} if experiment.labels == "masks" else {stages["pseudo_labels"].variant: stages["pseudo_labels"]}
        if experiment.masks_of is not None and experiment.masks_of.folder is not None:
            folder = {"folder": experiment.masks_of.folder}
            upstream = {"dataset": self.dataset}
            stages["corrected_masks"] = self.add("corrected_masks", "corrected", folder, upstream)
            labels["corrected"] = stages["corrected_masks"]
        elif experiment.masks_of is not None:
            subset = {"subset": experiment.masks_of.file}
            stages["listed_masks"] = self.add("listed_masks", "listed", subset, {"masks": self.masks})
            labels["some_masks"] = stages["listed_masks"]
        return labels or {"masks": self.masks}

    def _plan_threshold(self, choice: Threshold, maps: Artifact) -> Artifact:
        """The choice of a threshold on ``maps``, with their masks unless a rule needs none."""
        parameters = choice.model_dump(mode="json", exclude={"fixed"})
        if choice.best_on == "train" and self.config.dataset.scored_list is not None:
            parameters["scored_list"] = self.config.dataset.scored_list
        by_masks = {} if choice.rule is not None else {"masks": self.masks}
        return self.add("threshold", maps.variant, parameters, {"maps": maps, **by_masks})

    def _plan_climb_thresholds(self) -> dict[str, Artifact]:
        chosen = {}
        for name in {**self.climbs, **self.climb_scores}:
            cams = self.experiments[name]["cams"]
            threshold = self.config.cams[str(self.config.experiments[name].cams)].threshold
            if drawn_maps(cams) is not cams and threshold.fixed is None:
                chosen[name] = self._plan_threshold(threshold, drawn_maps(cams))
        return chosen

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
            needs_network = settings.backbone is not None or settings.classifier is not None
            network = self._plan_start(settings) if needs_network else None
            maps = self._plan_walked_cams(settings, variant, cams, network, stages)
        background = settings.pseudo_labels.background
        parameters = {"pseudo_labels": settings.pseudo_labels.model_dump(mode="json")}
        upstream = {"dataset": self.dataset, "maps": maps}
        if settings.pseudo_labels.sam_masks is not None:
            folder = {"folder": settings.pseudo_labels.sam_masks.folder}
            masks = self.add("sam_masks", "segments", folder, {"dataset": self.dataset})
            stages["sam_masks"] = upstream["sam_masks"] = masks
        if background.threshold is not None and background.threshold.fixed is None:
            stages["threshold"] = upstream["threshold"] = self._plan_threshold(background.threshold, maps)
        _add_seed_threshold(background.times_seed_threshold is not None, seed_threshold, stages, parameters, upstream)
        if background.saliency is not None:
            assert self.saliency is not None  # see wsss_core.config.supervision
            stages["saliency"] = upstream["saliency"] = self.saliency
        stages["pseudo_labels"] = self.add("pseudo_labels", variant, parameters, upstream)

    def _plan_walk(
        self, settings: LearnedAffinity, variant: str, seed_threshold: Threshold, stages: dict[str, Artifact]
    ) -> Artifact:
        """Plan what is between the class maps and the pseudo labels: labels, training, walk."""
        cams, labels = stages["cams"], settings.labels
        # The refined seeds are only scored; nothing is made from them. Several affinities may share them, and the
        # labels below, so neither has an affinity in its name.
        parameters: dict[str, Any] = {
            "background": labels.refined_seed.model_dump(mode="json"),
            **labels.model_dump(mode="json", include=set(REFINEMENTS)),
        }
        upstream = {"dataset": self.dataset, "cams": cams}
        follows = labels.refined_seed.times_seed_threshold is not None
        _add_seed_threshold(follows, seed_threshold, stages, parameters, upstream)
        stages["refined_seeds"] = self.add("refined_seeds", cams.variant, parameters, upstream)
        parameters = {"labels": labels.model_dump(mode="json", exclude={"refined_seed"})}
        if settings.optimisation.epochs > 0:  # else it is an imported network, used as it is
            upstream = {"dataset": self.dataset, "cams": cams}
            follows = any(score.times_seed_threshold is not None for score in (labels.foreground, labels.background))
            _add_seed_threshold(follows, seed_threshold, stages, parameters, upstream)
            stages["affinity_labels"] = self.add("affinity_labels", cams.variant, parameters, upstream)
        parameters = self._with_trunk(
            settings, self._trunk_of(settings), exclude=("classifier", "labels", "walk", "pseudo_labels")
        )
        upstream = {"dataset": self.dataset}
        if "affinity_labels" in stages:
            upstream["affinity_labels"] = stages["affinity_labels"]
        if settings.weights is None:
            upstream["initial"] = self._plan_start(settings)
        affinity = stages["affinity"] = self.add("affinity", variant, parameters, upstream)
        return self._plan_walked_cams(settings, variant, cams, affinity, stages)

    def _plan_walked_cams(
        self,
        settings: LearnedAffinity | TrainingFreeAffinity,
        variant: str,
        cams: Artifact,
        affinity: Artifact | None,
        stages: dict[str, Artifact],
    ) -> Artifact:
        """The class maps spread along affinities; ``affinity`` has the network that computes these, if there is one."""
        parameters = {
            "method": settings.method,  # type: ignore[union-attr]
            "walk": settings.walk.model_dump(mode="json"),
            "walked_alpha": settings.pseudo_labels.background.walked_alpha,
            **_extension(settings),
        }
        upstream = {"dataset": self.dataset, "cams": cams, **({} if affinity is None else {"affinity": affinity})}
        stages["walked_cams"] = self.add("walked_cams", variant, parameters, upstream)
        return stages["walked_cams"]


def _add_seed_threshold(
    follows: bool,
    seed_threshold: Threshold,
    stages: Mapping[str, Artifact],
    parameters: dict[str, Any],
    upstream: dict[str, Artifact],
) -> None:
    """Make the seed's threshold part of an artifact that follows it, as a number or as an upstream artifact."""
    parameters["seed_threshold"] = seed_threshold.fixed if follows else None
    if follows and seed_threshold.fixed is None:
        upstream["seed_threshold"] = stages["seed_threshold"]


def _extension(settings: Parameters) -> dict[str, Any]:
    """The extension that the settings' kind comes from, as a parameter; nothing for the package's own kinds."""
    source = source_of(settings)
    return {} if source is None else {"extension": dict(source)}
