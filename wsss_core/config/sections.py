"""The sections of named variants, and the kinds of variants in each.

A kind's settings class is imported when it is asked for: a job needs those of its own stage.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module

from wsss_core.config.parameters import Parameters


class Kinds(MutableMapping[str, type[Parameters]]):
    """The settings classes of a section, by the value of its ``kind_key``; "" is for all other values."""

    def __init__(self, own: Mapping[str, str]) -> None:
        """Start with the package's own.

        Args:
            own: by the kind's name, ``module.Class``, with the module's name in ``wsss_core.config``.
        """
        self._kinds: dict[str, str | type[Parameters]] = dict(own)

    def __getitem__(self, name: str) -> type[Parameters]:
        kind = self._kinds[name]
        if isinstance(kind, str):
            module, _, class_name = kind.partition(".")
            kind = self._kinds[name] = getattr(import_module(f"wsss_core.config.{module}"), class_name)
        return kind

    def __setitem__(self, name: str, kind: type[Parameters]) -> None:
        self._kinds[name] = kind

    def __delitem__(self, name: str) -> None:
        del self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, name: object) -> bool:
        return name in self._kinds


@dataclass(frozen=True)
class Section:
    """A section of named variants: the key that chooses a variant's kind, and the kinds."""

    kind_key: str | None
    kinds: Kinds

    def kind(self, name: object) -> type[Parameters]:
        """The settings class for this value of ``kind_key`` (KeyError if there is none)."""
        return self.kinds[str(name) if self.knows(name) else ""]

    def knows(self, name: object) -> bool:
        """Whether there is a settings class for this very value."""
        return str(name) in self.kinds

    @property
    def closed(self) -> bool:
        """Whether ``kind_key`` has to be one of the known values."""
        return "" not in self.kinds


SECTIONS: dict[str, Section] = {
    "backbones": Section("network", Kinds({"": "networks.Backbone"})),
    "classifiers": Section(
        "objective",
        Kinds(
            {
                "ordinary": "classifiers.OrdinaryClassifier",
                "cgnet": "classifiers.CgnetClassifier",
                "aeft": "classifiers.AeftClassifier",
                "seenet": "classifiers.SeenetClassifier",
                "mctformer": "token_classifiers.MctformerClassifier",
                "clip": "token_classifiers.ClipClassifier",
            }
        ),
    ),
    "cams": Section(
        "method",
        Kinds(
            {
                "multiscale": "cams.MultiscaleCams",
                "advcam": "cams.AdvCams",
                "seenet": "cams.SeenetCams",
                "class_attention": "cams.ClassAttentionCams",
                "clip_gradcam": "cams.ClipGradcamCams",
            }
        ),
    ),
    "affinities": Section(
        "method",
        Kinds(
            {
                "affinitynet": "refinement.AffinityNet",
                "irn": "refinement.Irn",
                "attention": "refinement.AttentionAffinity",
                "none": "refinement.NoAffinity",
            }
        ),
    ),
    "segmenters": Section(
        "network",
        Kinds(
            {
                "deeplab": "segmentation.DeepLab",
                "largefov": "segmentation.LargeFov",
                "deeplabv2": "segmentation.DeepLabV2",
                "deeplabv3plus": "segmentation.DeepLabV3Plus",
                "pspnet": "segmentation.PspNet",
            }
        ),
    ),
    "experiments": Section(None, Kinds({"": "root.Experiment"})),
}
"""The sections with named variants."""

REFERENCES: dict[str, dict[str, str]] = {
    "classifiers": {"backbone": "backbones", "start_from": "classifiers", "ordinary": "classifiers"},
    "cams": {"classifier": "classifiers"},
    "affinities": {"backbone": "backbones", "classifier": "classifiers"},
    "segmenters": {"backbone": "backbones", "classifier": "classifiers"},
    "experiments": {"cams": "cams", "affinity": "affinities", "segmenter": "segmenters"},
}
"""For each section, its fields that name a variant, and the section that this variant is in."""
