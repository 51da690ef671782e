"""AffinityNet's pairs, losses and walk against the authors' code; tolerances of ``tests/golden/README.md``."""

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.parity.cases import Case
from tests.parity.imported import Imported, largest_difference
from wsss_core.config.background import BackgroundScore
from wsss_core.config.spreading import Walk
from wsss_core.files.cam_store import ImageCams
from wsss_core.files.image_cams import enlarged
from wsss_core.networks.affinitynet import load_affinitynet
from wsss_core.refinement.affinity_method import load_affinity
from wsss_core.refinement.affinity_pairs import inner_window, neighbour_offsets, pair_affinities, shift_window
from wsss_core.refinement.affinitynet import AffinityNetMethod, affinity_losses
from wsss_core.refinement.crf import background_score
from wsss_core.refinement.pair_labels import pair_labels
from wsss_core.refinement.pseudo_label_map import pseudo_label_scores
from wsss_core.refinement.random_walk import random_walk

pytestmark = pytest.mark.xdist_group("psa")

STRIDE = 8
VOC_LABELS = 21
"""Labels, the background included, that the authors' walk has maps of."""


def radius_of_pairs(number: int) -> int:
    """The radius with this number of offsets."""
    return next(radius for radius in range(1, 100) if len(neighbour_offsets(radius)) == number)


def in_grid(affinities: np.ndarray, height: int, width: int) -> np.ndarray:
    """Affinities (P, n) of the authors' pairs, laid out as (P, h, w); pairs they leave out have none."""
    radius = radius_of_pairs(len(affinities))
    grid = np.zeros((len(affinities), height, width))
    window = inner_window(radius, height, width)
    rows, columns = (side.stop - side.start for side in window)
    grid[(slice(None), *window)] = affinities.reshape(-1, rows, columns)
    return grid


def walk(maps: np.ndarray, affinities: np.ndarray, beta: float, log2_steps: int) -> np.ndarray:
    """Walk of maps (K, h, w) along the authors' affinities (P, n)."""
    height, width = maps.shape[1:]
    offsets = neighbour_offsets(radius_of_pairs(len(affinities)))
    return random_walk(maps, in_grid(affinities, height, width), offsets, beta, log2_steps)


def check_indices(offsets: list, height: int, width: int, first: np.ndarray, second: np.ndarray) -> None:
    cells = np.arange(height * width).reshape(height, width)
    window = inner_window(radius_of_pairs(len(offsets)), height, width)
    np.testing.assert_array_equal(cells[window].reshape(-1), first)
    seconds = np.concatenate([cells[shift_window(window, offset)].reshape(-1) for offset in offsets])
    np.testing.assert_array_equal(seconds, second)


@pytest.mark.golden("psa_labels*.npz")
def test_pairs(case: Case):
    for name in [name for name in case if re.fullmatch(r"r\d+_\d+x\d+_from", name)]:
        radius, height, width = (int(number) for number in re.findall(r"\d+", name))
        second = case[name.removesuffix("from") + "to"]
        check_indices(neighbour_offsets(radius), height, width, case[name], second)
    np.testing.assert_array_equal(neighbour_offsets(radius_of_pairs(len(case["search_dist"]))), case["search_dist"])


@pytest.mark.golden("psa_labels*.npz")
def test_labels_of_pairs(case: Case):
    offsets = neighbour_offsets(radius_of_pairs(len(case["aff"])))
    labels = torch.from_numpy(case["label"].astype(np.int64))
    kinds = pair_labels(labels[None], offsets, radius_of_pairs(len(offsets)))
    for name, kind in zip(("bg_pos", "fg_pos", "neg"), kinds, strict=True):
        np.testing.assert_array_equal(kind[0].flatten(1).numpy(), case[name] != 0)


@pytest.mark.golden("psa_labels*.npz")
def test_losses(case: Case):
    offsets = neighbour_offsets(radius_of_pairs(len(case["aff"])))
    labels = torch.from_numpy(case["label"].astype(np.int64))
    pairs = pair_labels(labels[None], offsets, radius_of_pairs(len(offsets)))
    affinities = case.tensor("aff").double().reshape(pairs.negative.shape)
    losses = affinity_losses(affinities, pairs)
    found = [losses[name].item() for name in ("background", "foreground", "negative", "loss")]
    np.testing.assert_allclose(found, case["losses"], rtol=1e-5)


@pytest.mark.golden("psa_labels*.npz")
def test_losses_of_features(case: Case):
    """The way of a batch through the method: its own pairs, of features whose affinities are known."""
    radius = radius_of_pairs(len(case["aff"]))
    labels = torch.from_numpy(case["label"].astype(np.int64))[None]
    features = torch.rand(1, 3, *labels.shape[1:], dtype=torch.float64)
    method = AffinityNetMethod(GivenFeatures(features, radius))  # type: ignore[arg-type]
    offsets = neighbour_offsets(radius)
    window = inner_window(radius, *labels.shape[1:])
    affinities = pair_affinities(features, offsets)[(..., *window)]
    shape = (len(offsets), -1)
    kinds = [torch.from_numpy(case[name]).bool().reshape(shape) for name in ("bg_pos", "fg_pos", "neg")]
    background, foreground, negative = (affinities.reshape(shape)[kind] for kind in kinds)
    expected = {
        "background": -torch.log(background + 1e-5).sum() / (len(background) + 1e-5),
        "foreground": -torch.log(foreground + 1e-5).sum() / (len(foreground) + 1e-5),
        "negative": -torch.log(1 + 1e-5 - negative).sum() / (len(negative) + 1e-5),
    }
    found = method.losses(torch.zeros(1, 3, *(STRIDE * side for side in labels.shape[1:])), labels)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


class GivenFeatures(nn.Module):
    """Stands in for an AffinityNet whose features (1, C, h, w) are known."""

    def __init__(self, features: Tensor, radius: int) -> None:
        super().__init__()
        self.features = nn.Parameter(features, requires_grad=False)
        self.stride, self.radius, self.border_pairs = STRIDE, radius, False

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[2:] == tuple(STRIDE * side for side in self.features.shape[2:])
        return self.features


@pytest.mark.golden("psa_randomwalk*.npz")
def test_affinities_of_features(case: Case):
    offsets = neighbour_offsets(radius_of_pairs(len(case["aff"])))
    height, width = case["cam_full"].shape[1:]
    features = case.tensor("features").reshape(-1, height, width)
    window = inner_window(radius_of_pairs(len(offsets)), height, width)
    affinities = pair_affinities(features, offsets)[(slice(None), *window)].flatten(1)
    np.testing.assert_allclose(affinities.numpy(), case["aff"], rtol=0, atol=1e-5)
    check_indices(offsets, height, width, case["ind_from"], case["ind_to"])


@pytest.mark.golden("psa_randomwalk*.npz")
def test_column_sums(case: Case):
    # One step of the walk from cell i leaves 1 / (column sum i) at cell i.
    height, width = case["cam_full"].shape[1:]
    starts = np.eye(height * width).reshape(-1, height, width)
    walked = walk(starts, case["aff"], float(case["beta"]), 0).reshape(height * width, -1)
    np.testing.assert_allclose(1 / np.diag(walked), case["dense_colsum_of_pow"], rtol=1e-5)


@pytest.mark.golden("psa_randomwalk*.npz")
def test_walk(case: Case):
    names = [name for name in case if re.fullmatch(r"rw_logt\d+", name)]
    assert names
    for name in names:
        walked = walk(case["cam_full"], case["aff"], float(case["beta"]), int(name.removeprefix("rw_logt")))
        np.testing.assert_allclose(walked, case[name], rtol=0, atol=1e-4)
        np.testing.assert_allclose(walked, case[f"{name}_f64"], rtol=0, atol=1e-7)


@pytest.mark.golden("psa_randomwalk*.npz")
def test_walk_of_features(case: Case):
    """The same through the method, from features to walked maps; each cell's pixels are alike."""
    height, width = case["cam_full"].shape[1:]
    radius = radius_of_pairs(len(case["aff"]))
    features = case.tensor("features").reshape(1, -1, height, width)
    method = AffinityNetMethod(GivenFeatures(features, radius))  # type: ignore[arg-type]
    maps = case["cam_full"].astype(np.float64).repeat(STRIDE, axis=1).repeat(STRIDE, axis=2)
    image = np.zeros((*maps.shape[1:], 3), np.uint8)
    for name in [name for name in case if re.fullmatch(r"rw_logt\d+", name)]:
        settings = Walk(beta=float(case["beta"]), log2_steps=int(name.removeprefix("rw_logt")))
        walked = method.walk(image, maps, settings)
        np.testing.assert_allclose(walked, case[name], rtol=0, atol=1e-4)
        # The authors' affinities, which this walk makes for itself, are float32.
        np.testing.assert_allclose(walked, case[f"{name}_f64"], rtol=0, atol=1e-5)


def start_of(case: Case) -> np.ndarray:
    """The map of every label that the authors' walk starts from, (21, h, w)."""
    cam = case["cam"]
    maps = np.zeros((VOC_LABELS, *cam.shape[1:]), np.float32)
    maps[0] = background_score(cam, BackgroundScore(alpha=float(case["alpha"])))
    maps[case["keys"] + 1] = cam
    height, width = maps.shape[1:]
    padded = functional.pad(torch.from_numpy(maps), (0, -width % STRIDE, 0, -height % STRIDE))
    return functional.avg_pool2d(padded[None], STRIDE)[0].numpy()


@pytest.mark.golden("psa_aff*.npz")
def test_dense_affinities(case: Case):
    # One step from every cell is the transition matrix; times its column sums it is A.
    start = start_of(case)
    cells = start[0].size
    starts = np.eye(cells).reshape(-1, *start.shape[1:])
    transitions = walk(starts, case["aff"][0], 1.0, 0).reshape(cells, cells)
    np.testing.assert_allclose(transitions / np.diag(transitions), case["dense_aff"], rtol=0, atol=1e-5)


@pytest.mark.golden("psa_aff*.npz")
def test_walk_of_an_image(case: Case):
    walked = walk(start_of(case), case["aff"][0], float(case["beta"]), int(case["logt"]))
    np.testing.assert_allclose(walked, case["rw"][0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(walked, case["rw_float64"][0], rtol=0, atol=1e-7)


@pytest.mark.golden("psa_aff*.npz")
def test_labels_of_the_authors_walk(case: Case):
    height, width = case["cam"].shape[1:]
    fine = enlarged(case["rw"][0], STRIDE, height, width)
    np.testing.assert_array_equal(fine.argmax(axis=0), case["pred"])


@pytest.mark.golden("psa_aff*.npz")
def test_labels_of_our_walk(case: Case):
    walked = walk(start_of(case), case["aff"][0], float(case["beta"]), int(case["logt"]))
    check_labels(enlarged(walked, STRIDE, *case["cam"].shape[1:]), case)


def check_labels(fine: np.ndarray, case: Case) -> None:
    """Compare the labels with the largest scores (21, H, W) with the authors'."""
    wrong = fine.argmax(axis=0) != case["pred"]
    # Where two scores are nearer than the authors' float32 walk is exact, either label is right.
    ranked = np.sort(fine, axis=0)
    assert not (wrong & (ranked[-1] - ranked[-2] > 1e-4)).any()
    assert wrong.mean() < 0.01


@pytest.mark.golden("psa_aff*.npz")
def test_the_whole_way_from_an_image(case: Case, imported: Imported):
    """From the imported weights, an image and its maps to scores, as the stages `walked_cams` and `pseudo_labels`."""
    method = load_affinity(imported("affinitynet"))
    settings = Walk(beta=float(case["beta"]), log2_steps=int(case["logt"]))
    cams = ImageCams("x", case["keys"].astype(np.int16), np.empty(0), case["cam"], *case["cam"].shape[1:])
    walked = method.spread(case["image"], cams, settings, float(case["alpha"]))
    expected = case["rw_float64"][0]
    assert largest_difference_of(walked.cam, expected[case["keys"] + 1]) < 1e-5
    assert largest_difference_of(walked.background, expected[0]) < 1e-5
    scores = np.zeros((VOC_LABELS, *cams.high_res.shape[1:]), np.float32)
    scores[[0, *(case["keys"] + 1)]] = pseudo_label_scores(walked, None)
    check_labels(scores, case)


def largest_difference_of(found: np.ndarray, expected: np.ndarray) -> float:
    return largest_difference(torch.from_numpy(found), torch.from_numpy(expected))


@pytest.mark.golden("psa_aff*.npz")
def test_affinities_of_an_image(case: Case, imported: Imported):
    """The walk's own affinities: one step from every cell is the transition matrix."""
    network = load_affinitynet(imported("affinitynet"))
    method = AffinityNetMethod(network)
    height, width = case["image"].shape[:2]
    cells = case["dense_aff"].shape[0]
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    starts = np.zeros((cells, STRIDE * rows, STRIDE * columns))
    for cell in range(cells):
        y, x = (STRIDE * side for side in divmod(cell, columns))
        starts[cell, y : y + STRIDE, x : x + STRIDE] = 1
    starts = starts[:, :height, :width]
    # Where a last cell is not all image, its average is less than 1.
    averages = starts.sum(axis=(1, 2))[:, None] / STRIDE**2
    transitions = method.walk(case["image"], starts, Walk(beta=1, log2_steps=0)).reshape(cells, cells) / averages
    np.testing.assert_allclose(transitions / np.diag(transitions), case["dense_aff"], rtol=0, atol=1e-5)
