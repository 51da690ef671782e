"""The first lines of the report: which method is best, how sure that is, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from wsss_core.config.stages import STAGES, figure_stages
from wsss_core.report.gallery_choice import ImageScore
from wsss_core.report.other_images import Lead, lead_on_other_images
from wsss_core.report.score_table import FIGURES
from wsss_core.report.seed_spread import ALONE, Spread, Spreads, levels, weak_levels

GOALS = {
    "val": "label maps of the validation images",
    "pseudo_labels": "pseudo labels of the training images",
    "seed": "seeds (class maps above a threshold) of the training images",
}
"""The figures that methods are compared by, and what they score: the first one that there is decides."""


@dataclass(frozen=True)
class Compared:
    """An experiment, as the first lines speak of it."""

    name: str
    value: float
    """mIoU in percent; the mean of several seeds."""
    spread: Spread | None
    """None if it ran with one seed."""
    same: Sequence[str]
    """The experiments that are the same with other seeds."""


@dataclass(frozen=True)
class Rival:
    """An experiment that the best one is compared with."""

    experiment: Compared
    plain_cam: bool
    lead: float
    """Points that the best one is above it, of the figures as they are shown."""
    seeds_apart: bool | None
    """Whether every seed of the best one is above every seed of this one; None unless both have several."""
    on_other_images: Lead | None
    """None if too few images are known."""


@dataclass(frozen=True)
class Opening:
    """What the first lines say."""

    figure: str
    """The figure that decides, a key of ``GOALS``."""
    best: Compared
    plain_cam: bool
    """Whether the best one is the plain CAM."""
    rivals: Sequence[Rival]
    """The plain CAM and the next best one, as far as there are such."""
    bound: Compared | None
    """The upper bound, trained on masks."""
    trunks: tuple[str, str] | None
    """The best one's trunk and the plain CAM's, if they differ."""
    scored_images: int
    """How many images the figure is of."""
    earlier: Sequence[tuple[str, Compared]]
    """The headings of the figures before this one, and what is best there."""


@dataclass(frozen=True)
class Measured:
    """What a run has measured of its experiments."""

    table: pandas.DataFrame
    """See :func:`wsss_core.report.score_table.score_table`."""
    spreads: Spreads
    compared: Mapping[str, Mapping[str, Any]]
    """See :func:`wsss_core.plan.comparison.described_comparison`."""
    images: Mapping[str, Mapping[str, ImageScore]]
    """By split and image, its scores."""
    stages: Mapping[str, Mapping[str, str]]
    """By experiment and stage, the artifact's directory."""

    def about(self, name: str) -> Mapping[str, Any]:
        """What the experiment is compared with."""
        return self.compared.get(name, ALONE)

    def ranking(self, figure: str) -> list[Compared]:
        """The experiments with only weak supervision that have a figure, the best first."""
        return self._ranked(weak_levels(self.table, self.spreads), figure)

    def upper_bound(self, best: str, figure: str) -> Compared | None:
        """The best experiment that is trained on masks, with the same segmenter if there is one."""
        on_masks = self._ranked(levels(self.table[self.table["labels"] == "masks"], self.spreads), figure)
        alike = [bound for bound in on_masks if self.about(bound.name)["chain"][1:] == self.about(best)["chain"][1:]]
        return next(iter(alike or on_masks), None)

    def _ranked(self, table: pandas.DataFrame, figure: str) -> list[Compared]:
        table = table[table[figure].notna()].astype({figure: float})
        table = table.sort_values(figure, ascending=False, kind="stable")
        return [
            Compared(name, float(value), self.spreads.get((name, figure)), self.about(name)["same"])
            for name, value in zip(table["experiment"], table[figure], strict=True)
        ]


def make_opening(measured: Measured) -> Opening | None:
    """Find the best experiment and what it is compared with; None if no weak supervision was scored."""
    ranking: list[Compared] = []
    for figure in GOALS:
        if ranking := measured.ranking(figure):
            break
    else:
        return None
    best, plain = ranking[0], _plain_cam(measured, ranking)
    others = [other for other in ranking[1:] if other.name not in best.same]
    named = {other.name: other for other in [*filter(None, [plain]), *others[:1]] if other in others}
    scored, number = _scored_images(measured, best.name, figure)
    trunks = [measured.about(one.name)["trunk"] for one in (best, plain) if one is not None]
    return Opening(
        figure,
        best,
        measured.about(best.name)["plain_cam"],
        [_rival(measured, best, other, figure, scored) for other in named.values()],
        measured.upper_bound(best.name, figure),
        (trunks[0], trunks[1]) if len(set(trunks)) == 2 else None,
        number,
        [
            (FIGURES[earlier], found[0])
            for earlier in reversed(list(GOALS)[list(GOALS).index(figure) + 1 :])
            if len(found := measured.ranking(earlier)) > 1
        ],
    )


def _plain_cam(measured: Measured, ranking: Sequence[Compared]) -> Compared | None:
    """The plain CAM with the same affinity and segmenter as the best experiment or, if there is none, the best one."""
    plain = [one for one in ranking if measured.about(one.name)["plain_cam"]]
    chain = measured.about(ranking[0].name)["chain"]
    return next((one for one in plain if measured.about(one.name)["chain"] == chain), next(iter(plain), None))


def _rival(measured: Measured, best: Compared, other: Compared, figure: str, scored: Sequence[ImageScore]) -> Rival:
    apart = None
    if best.spread is not None and other.spread is not None:
        apart = min(best.spread.values) > max(other.spread.values)
    both = [score.counts for score in scored if {best.name, other.name} <= score.counts.keys()]
    lead = lead_on_other_images([counts[best.name] for counts in both], [counts[other.name] for counts in both])
    points = round(best.value, 1) - round(other.value, 1)
    return Rival(other, measured.about(other.name)["plain_cam"], points, apart, lead)


def split_of(figure: str) -> str:
    """The split whose images a figure is of."""
    return "val" if figure == "val" else "train"


def _scored_images(measured: Measured, experiment: str, figure: str) -> tuple[list[ImageScore], int]:
    """The known scores of the images that the figure is of, and how many these are, by the table of single images."""
    scores = measured.images.get(split_of(figure), {})
    stage = figure_stages()[figure]
    table = Path(measured.stages[experiment][stage], str(STAGES[stage].images_file))
    if not table.is_file():
        return list(scores.values()), len(scores)
    ids = set(pandas.read_csv(table, usecols=["image_id"], dtype=str, keep_default_na=False)["image_id"])
    return [score for image_id, score in scores.items() if image_id in ids], len(ids)
