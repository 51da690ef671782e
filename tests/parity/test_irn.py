"""IRN's network, losses and walk against the authors' code; tolerances of ``tests/golden/README.md``."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.parity.cases import Case, authors_weights
from tests.parity.imported import Imported
from wsss_core.config.background import BackgroundScore
from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import Irn
from wsss_core.config.spreading import IrnWalk
from wsss_core.datasets.transforms import normalise
from wsss_core.files.cam_store import ImageCams
from wsss_core.files.image_cams import enlarged
from wsss_core.networks.irn import IrnNetwork, build_irn, from_authors, own_name
from wsss_core.networks.weights import load_state
from wsss_core.refinement.affinity_method import load_affinity
from wsss_core.refinement.affinity_pairs import inner_window, pair_windows, shift_window
from wsss_core.refinement.boundary_paths import boundary_affinities, boundary_paths
from wsss_core.refinement.boundary_walk import walk_within_boundaries
from wsss_core.refinement.crf import refine
from wsss_core.refinement.irn import IrnMethod
from wsss_core.refinement.irn_losses import irn_losses
from wsss_core.refinement.pair_labels import PairLabels, pair_labels
from wsss_core.refinement.pseudo_label_map import divided_by_largest, pseudo_label_scores
from wsss_core.refinement.reduced_labels import middle_labels
from wsss_core.training.loop import _make_optimizer

pytestmark = pytest.mark.xdist_group("irn")

AUTHORS_TRUNK = Trunk(network="resnet50", output_stride=16)
VOC_LABELS = 21
"""The authors' code leaves out pairs with a label from here up."""


def authors_network(crop_size: int) -> IrnNetwork:
    network = build_irn(AUTHORS_TRUNK, crop_size)
    load_state(network, from_authors(authors_weights("irn")), "the recipe")
    return network.eval()


@pytest.mark.golden("irn_forward*.npz")
def test_boundaries_and_displacements(case: Case):
    network = authors_network(int(case["crop_size"]))
    with torch.inference_mode():
        boundary, displacements = network.infer(normalise(case["image"]))
    np.testing.assert_allclose(boundary.numpy(), case["edge"][0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(displacements.numpy(), case["dp"], rtol=0, atol=5e-5)


@pytest.mark.golden("irn_forward*.npz")
def test_raw_boundaries_of_the_padded_pair(case: Case):
    crop_size, image = int(case["crop_size"]), normalise(case["image"])
    padded = torch.zeros(2, 3, crop_size, crop_size)
    for one, view in zip(padded, (image, image.flip(2)), strict=True):
        view = view[:, :crop_size, :crop_size]
        one[:, : view.shape[1], : view.shape[2]] = view
    with torch.inference_mode():
        logits, _ = authors_network(crop_size)(padded)
    np.testing.assert_allclose(logits.numpy(), case["edge_logit_pair_padded"][:, 0], rtol=0, atol=5e-5)


@pytest.mark.golden("irn_forward*.npz")
def test_boundaries_of_the_imported_network(case: Case, imported: Imported):
    """As the stage `walked_cams` finds them; a map of ones, after no time, says how much boundaries weaken it."""
    method = load_affinity(imported("irn"))
    method.network.crop_size = int(case["crop_size"])
    height, width = case["image"].shape[:2]
    if max(height, width) > method.network.crop_size:
        pytest.skip("the authors' code cuts this image, which the stage does not")
    grid = case["edge"].shape[1:]
    cams = ImageCams("x", np.zeros(1, np.int16), np.ones((1, *grid), np.float32), None, height, width)
    found = method.spread(case["image"], cams, IrnWalk(log2_steps=0, beta=1e9), None)  # nothing moves
    np.testing.assert_allclose(1 - found.cam[0], case["edge"][0], rtol=0, atol=1e-5)


@pytest.mark.golden("irn_randomwalk*.npz")
def test_affinities_of_the_walk(case: Case):
    boundary = case.tensor("edge")[0]
    paths = boundary_paths(int(case["radius"]))
    affinities = boundary_affinities(boundary, paths).numpy().astype(np.float64)
    sums = np.ones(boundary.shape)  # of each cell with itself
    pairs = 0
    for path, values in zip(paths, affinities, strict=True):
        first, second = pair_windows(path[0], *boundary.shape)
        sums[first] += values[first]
        sums[second] += values[first]
        pairs += np.count_nonzero(values[first])
    assert 2 * pairs + boundary.numel() == case["affinity_nnz"]
    np.testing.assert_allclose(sums.reshape(-1), case["affinity_rowsum"], rtol=1e-5)


@pytest.mark.golden("irn_randomwalk*.npz")
def test_walk(case: Case):
    radius, beta, steps = int(case["radius"]), float(case["beta"]), int(case["exp_times"])
    walked = walk_within_boundaries(case["cam"], case["edge"][0], radius, beta, steps)
    np.testing.assert_allclose(walked, case["rw"][:, 0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(walked, case["rw_float64"][:, 0], rtol=0, atol=1e-7)


class GivenBoundaries(torch.nn.Module):
    """Stands in for an IRN whose boundaries (h, w) are known."""

    radius = 10

    def __init__(self, boundaries: torch.Tensor) -> None:
        super().__init__()
        self.boundaries = torch.nn.Parameter(boundaries, requires_grad=False)

    def infer_boundary(self, image: torch.Tensor, cut: bool = True) -> torch.Tensor:
        assert not cut
        return self.boundaries


def spread(case: Case) -> ImageCams:
    """The walk of the method, from class maps and boundaries."""
    method = IrnMethod(GivenBoundaries(case.tensor("edge")[0]))  # type: ignore[arg-type]
    height, width = case["rw_up_hw"].tolist()
    cams = ImageCams("x", np.arange(len(case["cam"]), dtype=np.int16), case["cam"], None, height, width)
    settings = IrnWalk(radius=int(case["radius"]), beta=float(case["beta"]), log2_steps=int(case["exp_times"]))
    return method.spread(np.zeros((height, width, 3), np.uint8), cams, settings, None)


@pytest.mark.golden("irn_randomwalk*.npz")
def test_walk_of_the_method(case: Case):
    walked = spread(case)
    np.testing.assert_allclose(walked.cam, case["rw"][:, 0], rtol=0, atol=1e-4)
    np.testing.assert_allclose(walked.cam, case["rw_float64"][:, 0], rtol=0, atol=1e-6)  # stored as float32


def predictions(case: Case) -> dict[str, float]:
    """The names of the label maps of a walk, with the background's score: 0.25 in rw_pred_bg025."""
    found = {name: int(match[1]) / 100 for name in case if (match := re.fullmatch(r"rw_pred_bg(\d+)", name))}
    assert found
    return found


def scores_of_walked(walked: np.ndarray, case: Case) -> np.ndarray:
    """Maps of pixels, (K, H, W), whose largest value is 1."""
    height, width = case["rw_up_hw"].tolist()
    return divided_by_largest(enlarged(walked, 4, height, width))


def labels_of(maps: np.ndarray, background: float) -> np.ndarray:
    unseen = np.zeros((*maps.shape[1:], 3), np.uint8)
    return refine(unseen, maps, BackgroundScore(threshold=background), None)


@pytest.mark.golden("irn_randomwalk*.npz")
def test_labels_of_the_authors_walk(case: Case):
    maps = scores_of_walked(case["rw"][:, 0], case)
    for name, background in predictions(case).items():
        np.testing.assert_array_equal(labels_of(maps, background), case[name])


@pytest.mark.golden("irn_randomwalk*.npz")
def test_labels_of_our_walk(case: Case):
    walked = walk_within_boundaries(
        case["cam"], case["edge"][0], int(case["radius"]), float(case["beta"]), int(case["exp_times"])
    )
    check_labels(lambda background: labels_of(scores_of_walked(walked, case), background), walked, case)


@pytest.mark.golden("irn_randomwalk*.npz")
def test_labels_of_the_methods_walk(case: Case):
    walked = spread(case)

    def labels(background: float) -> np.ndarray:
        return pseudo_label_scores(walked, BackgroundScore(threshold=background)).argmax(axis=0)

    check_labels(labels, walked.cam, case)


def check_labels(labels: Callable[[float], np.ndarray], walked: np.ndarray, case: Case) -> None:
    """Compare labels, by the background's score, with the authors'."""
    maps = scores_of_walked(walked, case)
    for name, background in predictions(case).items():
        wrong = labels(background) != case[name]
        # Where two scores are nearer than the authors' float32 walk is exact, either label is right.
        ranked = np.sort(np.concatenate([maps, np.full((1, *wrong.shape), background)]), axis=0)
        assert not (wrong & (ranked[-1] - ranked[-2] > 1e-4 / walked.max())).any()
        assert wrong.mean() < 0.01


def flat_indices(radius: int, height: int, width: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Cell numbers of the first cells (n,), and by path those of its cells (length, n)."""
    cells = np.arange(height * width).reshape(height, width)
    window = inner_window(radius, height, width)
    paths = [
        np.stack([cells[shift_window(window, cell)].reshape(-1) for cell in path]) for path in boundary_paths(radius)
    ]
    return cells[window].reshape(-1), paths


def check_indices(radius: int, height: int, width: int, case: Case, search: str, first: str, second: str) -> list:
    sources, paths = flat_indices(radius, height, width)
    np.testing.assert_array_equal([path[0] for path in boundary_paths(radius)], case[search])
    np.testing.assert_array_equal(sources, case[first])
    np.testing.assert_array_equal([path[0] for path in paths], case[second])
    return paths


@pytest.mark.golden("irn_train_step*.npz")
def test_indices_of_pairs_and_paths(case: Case):
    height, width = case["reduced_labels"].shape[1:]
    paths = check_indices(int(case["radius"]), height, width, case, "search_dst", "src_indices", "dst_indices")
    numbers, lengths = np.unique([len(path) for path in paths], return_counts=True)
    groups = {(int(length), int(number)) for length, number in zip(numbers, lengths, strict=True)}
    assert groups == {(int(length), int(number)) for number, length in case["path_counts"]}


@pytest.mark.golden("irn_train_step*.npz")
def test_indices_in_small_grids(case: Case):
    for search in [name for name in case if name.endswith("_search_dst")]:
        prefix = search.removesuffix("search_dst")  # such as r5_9x12_
        radius, size = prefix[1:-1].split("_")
        height, width = (int(side) for side in size.split("x"))
        paths = check_indices(int(radius), height, width, case, search, f"{prefix}src", f"{prefix}dst")
        groups = [case[f"{prefix}path{k}"] for k in range(sum(name.startswith(f"{prefix}path") for name in case))]
        expected = [path for group in groups for path in group]
        assert len(paths) == len(expected)
        for path, other in zip(paths, expected, strict=True):
            np.testing.assert_array_equal(path, other)


def own_pairs(case: Case) -> PairLabels:
    radius = int(case["radius"])
    labels = torch.from_numpy(case["reduced_labels"].astype(np.int64))
    return pair_labels(labels, [path[0] for path in boundary_paths(radius)], radius, VOC_LABELS)


@pytest.mark.golden("irn_train_step*.npz")
def test_labels_of_pairs(case: Case):
    labels = torch.from_numpy(case["labels"].astype(np.int64))
    reduced = np.stack([middle_labels(one, 4).numpy() for one in labels])
    np.testing.assert_array_equal(reduced, case["reduced_labels"])
    shape = tuple(case["aff_shape"].tolist())
    for kind, name in zip(own_pairs(case), ("bg_pos", "fg_pos", "neg"), strict=True):
        expected = np.unpackbits(case[name])[: np.prod(shape)].reshape(shape).astype(bool)
        np.testing.assert_array_equal(kind.flatten(2).numpy(), expected)


@pytest.mark.golden("irn_train_step*.npz")
def test_losses_gradients_and_one_step(case: Case):
    radius, paths = int(case["radius"]), boundary_paths(int(case["radius"]))
    network = authors_network(int(case["crop"]))
    logits, displacements = network(torch.stack([normalise(image) for image in case["images"]]))
    pairs = own_pairs(case)
    expected = case.json("loss_json")
    everything = PairLabels(*(torch.ones_like(kind) for kind in pairs))
    names = ("positive", "negative", "displacement_foreground", "displacement_background")
    raw = irn_losses(logits, displacements, everything, paths, radius)
    np.testing.assert_allclose([raw[name].item() for name in names], expected["raw"], rtol=1e-5)

    losses = irn_losses(logits, displacements, pairs, paths, radius)
    authors_names = ("pos_aff", "neg_aff", "dp_fg", "dp_bg", "total")
    np.testing.assert_allclose(
        [losses[name].item() for name in (*names, "loss")], [expected[name] for name in authors_names], rtol=1e-5
    )

    slow, fast = case["lrs"].tolist()
    given = case.json("sgd_defaults")
    decay = given["momentum"]  # the authors' optimiser hands the decay on in momentum's place too
    optimiser = torch.optim.SGD(
        [
            {"params": network.boundary_parameters(), "lr": slow, "weight_decay": decay},
            {"params": network.displacement_parameters(), "lr": fast, "weight_decay": decay},
        ],
        **given,
    )
    losses["loss"].backward()
    parameters = dict(network.named_parameters())
    gradients = case.json("grad_norm_json")
    assert {own_name(name) for name in gradients} == {name for name, p in parameters.items() if p.grad is not None}
    for name, norm in gradients.items():
        gradient = parameters[own_name(name)].grad
        assert torch.linalg.vector_norm(gradient, dtype=torch.float64).item() == pytest.approx(norm, rel=1e-4), name
    optimiser.step()
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    for name, norm in case.json("param_norm_after_json").items():
        moved = parameters[own_name(name)]
        # As exact as the step's gradient; without weight decay the last branch would be off by 1e-4.
        exact_to = 1e-5 * norm + 1e-4 * rates[id(moved)] * gradients[name]
        found = torch.linalg.vector_norm(moved, dtype=torch.float64).item()
        assert found == pytest.approx(norm, rel=0, abs=exact_to), name


@pytest.mark.golden("irn_train_step*.npz")
def test_a_step_of_the_method(case: Case, imported: Imported):
    """The same by the import, the method's own reduction of labels, losses and parameter groups."""
    labels = torch.from_numpy(case["labels"].astype(np.int64))
    if ((labels >= VOC_LABELS) & (labels != 255)).any():
        pytest.skip("the method knows labels that the authors' code leaves out")
    method = load_affinity(imported("irn"))
    network = method.network.requires_grad_(True).train()
    network.trunk.requires_grad_(False)
    assert network.radius == int(case["radius"])
    reduce = method.label_reduction()
    images = torch.stack([normalise(image) for image in case["images"]])
    losses = method.losses(images, torch.stack([reduce(one) for one in labels]))
    expected = case.json("loss_json")
    names = {"positive": "pos_aff", "negative": "neg_aff", "loss": "total"}
    names |= {"displacement_foreground": "dp_fg", "displacement_background": "dp_bg"}
    assert {name: value.item() for name, value in losses.items()} == {
        name: pytest.approx(expected[authors], rel=1e-5) for name, authors in names.items()
    }
    slow, fast = case["lrs"].tolist()
    given = case.json("sgd_defaults")
    settings = Irn(backbone="resnet50")
    assert settings.optimisation.learning_rate == slow and settings.optimisation.momentum == given["momentum"]
    groups = method.parameter_groups(settings)
    assert [group["factor"] * slow for group in groups] == pytest.approx([slow, fast])
    optimiser = _make_optimizer(groups, settings.optimisation)
    for group in optimiser.param_groups:
        group["lr"] = slow * group["factor"]
    losses["loss"].backward()
    optimiser.step()
    parameters = dict(network.named_parameters())
    for name, norm in case.json("param_norm_after_json").items():
        found = torch.linalg.vector_norm(parameters[own_name(name)], dtype=torch.float64).item()
        assert found == pytest.approx(norm, rel=2e-4), name
