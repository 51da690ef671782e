"""The whole configuration."""

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny, model_validator

from wsss_core.config.cams import Cams
from wsss_core.config.classifiers import Classifier
from wsss_core.config.dataset import Dataset
from wsss_core.config.networks import Backbone
from wsss_core.config.parameters import Parameters
from wsss_core.config.paths import File
from wsss_core.config.refinement import Affinity
from wsss_core.config.report import Report
from wsss_core.config.runtime import RuleResources, Runtime
from wsss_core.config.segmentation import Segmenter
from wsss_core.config.semi_supervised import MasksOf
from wsss_core.config.sweeps import Sweep

Percent = Annotated[float, Field(ge=0, le=100)]


class Published(Parameters):
    """What a paper reports for an experiment, mIoU in percent; the summary shows it next to the result here."""

    seed: Percent | None = None
    """The class maps' seed, on the training images."""
    pseudo_labels: Percent | None = None
    """The pseudo labels, on the training images."""
    val: Percent | None = None
    """The segmenter's predictions, on the validation images."""
    test: Percent | None = None
    """The segmenter's predictions on VOC's test images, which only its server can score."""
    source: str = Field(min_length=1)
    """Who reports it, and what they did differently."""

    @model_validator(mode="after")
    def _has_a_figure(self) -> "Published":
        if not self.figures:
            raise ValueError("give at least one of 'seed', 'pseudo_labels', 'val' and 'test'")
        return self

    @property
    def figures(self) -> dict[str, float]:
        """The given figures, by what they score."""
        return self.model_dump(exclude={"source"}, exclude_none=True)


class Experiment(Parameters):
    """A chain of variants, from CAMs to a trained segmenter; it may stop early."""

    cams: str | None = None
    """Variant in ``cams``; the seed."""
    affinity: str | None = None
    """Variant in ``affinities``; without it the experiment ends at the seed."""
    segmenter: str | None = None
    """Variant in ``segmenters``; without it the experiment ends at the pseudo labels."""
    labels: Literal["pseudo", "masks"] = "pseudo"
    """What the segmenter is trained on. ``masks`` is full supervision: the upper bound, not WSSS."""
    competition: Literal["comp5", "comp6"] = "comp6"
    """The VOC server's competition that ``snakemake voc_submission`` makes the archive for: ``comp5`` if all weights
    were trained only on VOC's own images, ``comp6`` if other data helped, such as ImageNet weights."""
    published: Published | None = None
    """Published figures to compare with; no result depends on them."""
    masks_of: MasksOf | None = None
    """Semi-supervision: the segmenter is trained on the masks of these images and on pseudo labels of the others. With
    ``labels: masks`` it is trained only on these masks; with ``consistency`` it also sees the other images, without
    labels."""

    @model_validator(mode="after")
    def _chain_is_whole(self) -> "Experiment":
        if self.labels == "masks":
            if self.cams or self.affinity or not self.segmenter:
                raise ValueError("labels: masks needs a 'segmenter' and neither 'cams' nor 'affinity'")
        elif self.cams is None:
            raise ValueError("'cams' is missing (only labels: masks does without)")
        elif self.segmenter is not None and self.affinity is None:
            raise ValueError("'affinity' is missing: the segmenter is trained on its pseudo labels")
        if self.masks_of is not None:
            if self.segmenter is None:
                raise ValueError("'masks_of' needs a 'segmenter', which is trained on these masks")
            if self.labels == "masks" and "pseudo_weight" in self.masks_of.model_fields_set:
                raise ValueError("'masks_of.pseudo_weight' is for pseudo labels, and labels: masks uses none")
        return self

    @model_validator(mode="after")
    def _something_is_submitted(self) -> "Experiment":
        if self.segmenter is None and "competition" in self.model_fields_set:
            raise ValueError("'competition' is for a segmenter's label maps: give a 'segmenter', or leave it out")
        return self

    @model_validator(mode="after")
    def _published_is_made(self) -> "Experiment":
        made = {"seed": self.cams, "pseudo_labels": self.affinity, "val": self.segmenter, "test": self.segmenter}
        for figure in self.published.figures if self.published else ():
            if made[figure] is None:
                raise ValueError(f"'published.{figure}' is of a stage that this experiment does not reach")
        return self


class Config(Parameters):
    """Everything that ``config.yaml`` may say."""

    dataset: SerializeAsAny[Dataset]
    """The images and their labels."""
    backbones: dict[str, SerializeAsAny[Backbone]] = {}
    """Trunks and where their weights come from."""
    classifiers: dict[str, SerializeAsAny[Classifier]] = {}
    """Networks trained on image-level labels."""
    cams: dict[str, SerializeAsAny[Cams]] = {}
    """Ways of drawing class maps from a classifier."""
    affinities: dict[str, SerializeAsAny[Affinity]] = {}
    """Refinements of class maps to pseudo labels."""
    segmenters: dict[str, SerializeAsAny[Segmenter]] = {}
    """Segmentation networks and how they are trained and applied."""
    experiments: dict[str, Experiment] = Field(min_length=1)
    """Chains of the variants above."""
    sweeps: dict[str, Sweep] = {}
    """Experiments over grids of values."""
    report: Report = Report()
    """What the page about the run shows."""
    runtime: Runtime = Runtime()
    """Devices, shards, folders."""
    resources: dict[str, RuleResources] = {}
    """Memory, time, threads and GPUs by rule, where the defaults do not fit."""
    extensions: tuple[File, ...] = ()
    """Paths of Python files that add a trunk, an objective, a CAM method or an affinity of your own; see
    ``docs/adding_a_method.md``."""
