"""The user's files that rules read: the data set, weights, lists, masks and maps from other programs."""

import os
from collections.abc import Iterable
from pathlib import Path

from wsss_core.config import Config
from wsss_core.datasets.image_ids import folders_in
from wsss_core.datasets.index_corrections import corrected_masks_in
from wsss_core.datasets.index_sam_masks import state_of_masks
from wsss_core.errors import UserError
from wsss_core.plan.of_wildcards import Wildcards
from wsss_core.plan.plan import Plan


class UsersFiles:
    """The part of :class:`wsss_core.plan.rules.Rules` that finds files that no rule makes."""

    plan: Plan
    config: Config

    def raw_inputs(self, paths: Iterable[Path]) -> list[str]:
        """The raw data set's folders and files that exist (or will be generated).

        A missing one is not an input: ``index_dataset`` names it together with all other faults. An inner folder with
        braces in its name, which Snakemake would take for wildcards, is not an input either, so changes in it go
        unnoticed.
        """
        named = [path for path in paths if "{" not in str(path)]
        return [str(path) for path in named if self.config.dataset.generated or path.exists()]

    def backbone_file(self, wildcards: Wildcards) -> list[str]:
        """The file that a backbone's weights come from, if they come from one.

        A missing file is reported here, not for all targets: data can be checked without weights.

        Raises:
            UserError: it is missing.
        """
        artifact = self.plan.artifact("backbone", wildcards.artifact)
        weights: str = artifact.parameters["weights"]
        if not weights.endswith(".safetensors"):
            return []
        if not os.path.isfile(weights):
            raise UserError(
                f"backbones.{artifact.variant}.weights: there is no file {weights}; "
                "`python -m wsss_core import-weights` makes one from ImageNet weights (docs/pretrained.md)"
            )
        return [weights]

    def text_features(self, wildcards: Wildcards) -> list[str]:
        """The file of text features that a classifier compares images with, if it does."""
        file = self.plan.artifact("classifier", wildcards.artifact).parameters.get("text_features")
        return [] if file is None else [file]

    def corrected_masks(self, wildcards: Wildcards) -> list[str]:
        """The masks in a folder of corrected masks, except paths that Snakemake would take for wildcards."""
        folder = self.plan.artifact("corrected_masks", wildcards.artifact).parameters["folder"]
        return [str(file) for file in corrected_masks_in(Path(folder)).values() if "{" not in str(file)]

    def saliency_maps(self, wildcards: Wildcards) -> list[str]:
        """The folders of saliency maps, except paths that Snakemake would take for wildcards.

        Missing maps are reported here, not for all targets: other experiments do not need them.

        Raises:
            UserError: there is no such folder, and the maps have not been checked before.
        """
        artifact = self.plan.artifact("saliency", wildcards.artifact)
        folder = Path(artifact.parameters["folder"])
        if not folder.is_dir() and not os.path.exists(artifact.path("saliency.csv")):
            raise UserError(
                f"dataset.saliency: there is no folder {folder}, which must have <image id>.png of each training "
                "image; if you have no saliency maps, leave out the key and the experiments whose labels need it"
            )
        return [str(path) for path in folders_in(folder) if "{" not in str(path)]

    def state_of_sam_masks(self, wildcards: Wildcards) -> str:
        """A digest of the folder of masks of segments, so that changed masks are read again."""
        return state_of_masks(Path(self.plan.artifact("sam_masks", wildcards.artifact).parameters["folder"]))

    def subset_file(self, wildcards: Wildcards) -> str:
        """The list of images whose masks choose a threshold or train a segmenter."""
        return str(self.plan.artifact(wildcards.listing, wildcards.artifact).parameters["subset"])
