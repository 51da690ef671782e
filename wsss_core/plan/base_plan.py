"""What all experiments of a configuration share: the data set, and the list of planned artifacts."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from wsss_core.config import Config
from wsss_core.config.dataset import Dataset
from wsss_core.plan.artifacts import Artifact


class BasePlan:
    """The planned artifacts of a configuration: at first, those of its data set."""

    def __init__(self, config: Config, shared_with: "BasePlan | None" = None) -> None:
        """Plan the artifacts of the data set.

        Args:
            config: a checked configuration.
            shared_with: another plan, to which all artifacts are added as well.
        """
        self.config = config
        self.folder = config.runtime.results / config.dataset.name
        self._artifacts: dict[tuple[str, str], Artifact] = {} if shared_with is None else shared_with._artifacts
        self.dataset = self._plan_dataset()
        of_masks = config.dataset.model_dump(mode="json", include=set(config.dataset.for_masks), exclude_defaults=True)
        self.masks = self.add("masks", config.dataset.format, of_masks, {"dataset": self.dataset})
        self.saliency = self._plan_saliency()
        """The checked saliency maps, if the data set has any."""

    def artifact(self, stage: str, name: str) -> Artifact:
        """The artifact of this stage in the directory of this name.

        Raises:
            KeyError: no experiment of the configuration needs it.
        """
        return self._artifacts[stage, name.rpartition("-")[2]]

    def artifacts(self, stage: str | None = None) -> list[Artifact]:
        """All artifacts, or those of one stage, in the order of the experiments."""
        return [artifact for artifact in self._artifacts.values() if stage in (None, artifact.stage)]

    def add(
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
            upstream["generated"] = self.add("generated", "creatures", dataset.generated, {})
        # The name is part of the path, and the generator's settings are in the digest through upstream. The other keys
        # change nothing that is learned.
        excluded: dict[str, Any] = {
            "name": True,
            "generate": True,
            "splits": {"test"},
            "score_on": True,
            "saliency": True,
            "score_val": True,
            **dict.fromkeys(dataset.for_masks, True),
        }
        return self.add("dataset", dataset.format, dataset_parameters(dataset, excluded), upstream)

    def _plan_saliency(self) -> Artifact | None:
        folder = self.config.dataset.saliency
        if folder is None:
            return None
        return self.add("saliency", self.config.dataset.format, {"folder": str(folder)}, {"dataset": self.dataset})


def dataset_parameters(dataset: Dataset, excluded: dict[str, Any]) -> dict[str, Any]:
    """The settings of the data set as JSON values, without those ``excluded``.

    ``long_side`` and ``negatives`` are left out at their former meaning, so that results from before these keys keep
    their digests.
    """
    parameters = dataset.model_dump(mode="json", exclude=excluded)
    if parameters["long_side"] is None:
        del parameters["long_side"]
    if parameters["negatives"] == "none":
        del parameters["negatives"]
    return parameters
