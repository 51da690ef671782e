"""Class maps that walk: both methods against plain ones, and the stage that writes them."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.oracles import affinity_pairs, boundary_paths
from tests.oracles.dense_random_walk import walk_along_pairs
from tests.refinement.tiny_data import CLASSES, LABELS, SIZES, TRUNK, FakeCams, write_images, write_trunk
from wsss_core.config.spreading import IrnWalk, Walk
from wsss_core.datasets.images import read_image
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.jobs.run import Run
from wsss_core.networks.affinitynet import AffinityNetwork, save_affinitynet
from wsss_core.networks.irn import build_irn, save_irn
from wsss_core.networks.trunks import build_trunk
from wsss_core.refinement import spread_cams as stage
from wsss_core.refinement.affinity_method import load_affinity
from wsss_core.refinement.affinitynet import AffinityNetMethod
from wsss_core.refinement.irn import IrnMethod
from wsss_core.refinement.spread_cams import spread_cams, walk_settings

AFFINITYNET_WALK, IRN_WALK = Walk(log2_steps=4), IrnWalk(log2_steps=4)
CHANCE = 1e-6
"""Float32 networks, and maps stored as float32."""


def affinitynet(stride=4, radius=5, border_pairs=False) -> AffinityNetMethod:
    torch.manual_seed(0)
    network = AffinityNetwork(build_trunk(TRUNK), stride, radius, border_pairs)
    return AffinityNetMethod(network.eval().requires_grad_(False))


def irn(crop_size=48) -> IrnMethod:
    torch.manual_seed(0)
    network = build_irn(TRUNK, crop_size, displacement=False)
    nn.init.normal_(network.boundary_head.weight)  # else boundaries are all about 0.5
    return IrnMethod(network.eval().requires_grad_(False))


def example(height, width, classes=2, high_res=True, seed=0):
    """An image and its maps."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    cam = random.random((classes, -(-height // 4), -(-width // 4)), np.float32)
    kept = random.random((classes, height, width), np.float32) if high_res else None
    return image, ImageCams("x", np.arange(classes, dtype=np.int16), cam, kept, height, width)


def pooled(maps: np.ndarray, stride: int) -> np.ndarray:
    """Sums over cells, by the number of pixels of a whole one."""
    rows, columns = (-(-side // stride) for side in maps.shape[1:])
    result = np.zeros((len(maps), rows, columns))
    for y in range(rows):
        for x in range(columns):
            cell = maps[:, y * stride : (y + 1) * stride, x * stride : (x + 1) * stride]
            result[:, y, x] = cell.sum(axis=(1, 2)) / stride**2
    return result


def with_background(maps: np.ndarray, power: float, alpha: float | None) -> np.ndarray:
    maps = maps.astype(np.float64)
    background = [] if alpha is None else [(1 - maps.max(axis=0)) ** alpha]
    return np.stack([*maps**power, *background])


def check(found: ImageCams, expected: np.ndarray, alpha: float | None, stride: int):
    walked = found.cam if alpha is None else np.concatenate([found.cam, found.background[None]])
    assert (found.background is None) == (alpha is None) and found.high_res is None
    assert walked.dtype == np.float32 and found.stride == stride
    np.testing.assert_allclose(walked, expected, rtol=0, atol=CHANCE)


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    stride=st.sampled_from([4, 8]),
    radius=st.integers(2, 5),
    border_pairs=st.booleans(),
    power=st.sampled_from([1.0, 1.5]),
    alpha=st.sampled_from([None, 4.0]),
    high_res=st.booleans(),
)
def test_affinitynets_walk_is_the_plain_one(height, width, stride, radius, border_pairs, power, alpha, high_res):
    method = affinitynet(stride, radius, border_pairs)
    image, cams = example(height, width, high_res=high_res)
    walk = Walk(log2_steps=4, cam_power=power, beta=3)
    found = method.spread(image, cams, walk, alpha)
    padded = torch.zeros(1, 3, -(-height // stride) * stride, -(-width // stride) * stride)
    padded[0, :, :height, :width] = normalise(image)
    affinities = affinity_pairs.walk_affinities(method.network(padded)[0].double().numpy(), radius, border_pairs)
    starts = pooled(with_background(cams.full_size(), power, alpha), stride)
    check(found, walk_along_pairs(starts, affinities, 3, 4), alpha, stride)


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    radius=st.integers(2, 5),
    power=st.sampled_from([1.0, 1.5]),
    alpha=st.sampled_from([None, 4.0]),
)
def test_irns_walk_is_the_plain_one(height, width, radius, power, alpha):
    method = irn()
    image, cams = example(height, width)
    found = method.spread(image, cams, IrnWalk(log2_steps=4, cam_power=power, beta=3, radius=radius), alpha)
    pair = torch.zeros(2, 3, max(height, 48), max(width, 48))
    pair[0, :, :height, :width] = normalise(image)
    pair[1, :, :height, :width] = normalise(image).flip(2)
    own, mirrored = method.network(pair)[0].double().numpy()[:, : -(-height // 4), : -(-width // 4)]
    boundary = 1 / (1 + np.exp(-(own + mirrored[:, ::-1]) / 2))
    starts = with_background(cams.cam, power, alpha) * (1 - boundary)
    check(found, walk_along_pairs(starts, boundary_paths.affinities(boundary, radius), 3, 4), alpha, 4)


def test_an_image_larger_than_irns_crops_is_not_cut():
    image, cams = example(70, 90)
    small, large = (irn(size).spread(image, cams, IRN_WALK, None).cam for size in (48, 96))
    assert small.shape == large.shape == (2, 18, 23)
    network = irn(48).network
    assert network.infer_boundary(normalise(image)).shape == (12, 12)  # the authors' code cuts
    boundary, displacements = network.infer(normalise(image), cut=False)
    assert boundary.shape == (18, 23) and displacements.shape == (2, 18, 23)
    torch.testing.assert_close(network.infer_boundary(normalise(image), cut=False), boundary, rtol=0, atol=0)


@pytest.mark.parametrize(("method", "walk"), [(affinitynet(), AFFINITYNET_WALK), (irn(), IRN_WALK)])
class TestBoth:
    @pytest.mark.parametrize("size", [(1, 1), (33, 41)])
    def test_an_image_without_classes(self, method, walk, size):
        image, cams = example(*size, classes=0)
        grid = (-(-size[0] // 4), -(-size[1] // 4))
        assert method.spread(image, cams, walk, None).background is None
        found = method.spread(image, cams, walk, 16)
        assert found.cam.shape == (0, *grid) and found.background.shape == grid
        assert (found.background == 1).all() and found.full_size().shape == (0, *size)

    def test_a_map_of_zeros_stays_one_next_to_others(self, method, walk):
        image, cams = example(40, 40)
        cams.cam[1] = cams.high_res[1] = 0
        found = method.spread(image, cams, walk, None)
        assert found.cam[0].all() and not found.cam[1].any()

    def test_the_background_is_that_of_the_maps_before_the_power(self, method, walk):
        image, cams = example(40, 40)
        powered = walk.model_copy(update={"cam_power": 2.0})
        found = [method.spread(image, cams, settings, 3) for settings in (walk, powered)]
        np.testing.assert_array_equal(found[0].background, found[1].background)
        assert (found[1].cam < found[0].cam).all()


def test_what_lies_beyond_the_image_is_no_part_of_it():
    """A last cell that is a sixteenth image has a sixteenth of the map's value, as in the authors' code."""
    image, cams = example(5, 5)
    cams.high_res[:] = 1
    found = affinitynet().spread(image, cams, Walk(log2_steps=0, beta=1e9), None)  # nothing moves
    np.testing.assert_allclose(found.cam[0], [[1, 1 / 4], [1 / 4, 1 / 16]], rtol=1e-6)


def test_irn_needs_its_own_settings():
    with pytest.raises(UserError, match="another method's"):
        irn().spread(*example(8, 8), Walk(), None)


@pytest.mark.parametrize(("method", "kind"), [("affinitynet", Walk), ("irn", IrnWalk)])
def test_settings_of_the_walk_by_method(method, kind):
    found = walk_settings({"method": method, "walk": kind(beta=3).model_dump(mode="json"), "walked_alpha": None})
    assert type(found) is kind and found.beta == 3


@pytest.fixture
def index(tmp_path):
    return write_images(tmp_path / "images")


@pytest.fixture
def cams(tmp_path):
    maps = {image_id: FakeCams().read(image_id) for image_id in SIZES}
    images = [ImageCams(name, m.classes, m.cam, None, m.height, m.width) for name, m in maps.items()]
    write_cam_store(tmp_path / "cams.h5", CLASSES, {}, images, "float32")
    with CamStoreReader([tmp_path / "cams.h5"]) as reader:
        yield reader


@pytest.fixture
def weights(tmp_path):
    save_affinitynet(tmp_path / "affinitynet.safetensors", affinitynet(stride=8).network, TRUNK)
    save_irn(tmp_path / "irn.safetensors", irn().network, TRUNK)
    return {name: tmp_path / f"{name}.safetensors" for name in ("affinitynet", "irn")}


def run(folder, index, cams, weights, walk=AFFINITYNET_WALK, alpha=None) -> Path:
    shard = folder / "shards" / "000-of-001.h5"
    spread_cams(walk, alpha, index, cams, weights, shard, Run([weights], "cpu", provenance={"digest": "abc"}))
    return shard


@pytest.mark.parametrize(("name", "walk", "stride"), [("affinitynet", AFFINITYNET_WALK, 8), ("irn", IRN_WALK, 4)])
@pytest.mark.parametrize("alpha", [None, 16.0])
def test_the_store_has_the_walked_maps_of_every_image(tmp_path, index, cams, weights, name, walk, stride, alpha):
    shard = run(tmp_path, index, cams, weights[name], walk, alpha)
    (left,) = tmp_path.glob(".partial/*/*")
    assert left.match("finished-*-000-of-001.h5")
    method = load_affinity(weights[name])
    with CamStoreReader([shard]) as reader, h5py.File(shard) as file:
        assert file.attrs["stride"] == stride and "abc" in file.attrs["provenance"]
        assert reader.classes == CLASSES and sorted(reader.image_ids) == sorted(SIZES)
        for image_id, path in zip(index.image_ids, index.image_paths, strict=True):
            found, own = reader.read(image_id), cams.read(image_id)
            expected = method.spread(read_image(path), own, walk, alpha)
            assert (found.height, found.width) == SIZES[image_id] and found.stride == stride
            assert found.classes.tolist() == [CLASSES.index(label) for label in LABELS[image_id]]
            for part in ("cam", "background", "high_res"):
                np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_killed_run_continues_to_the_same_bytes(tmp_path, index, cams, weights, monkeypatch, fails_at):
    monkeypatch.setattr(stage, "BLOCK_IMAGES", 1)
    whole = run(tmp_path / "whole", index, cams, weights["affinitynet"], alpha=16).read_bytes()
    read, seen = stage.read_image, []

    def failing(path):
        seen.append(index.image_paths.index(path))
        if len(seen) == fails_at + 1:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(stage, "read_image", failing)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", index, cams, weights["affinitynet"], alpha=16)
    assert not (tmp_path / "killed/shards/000-of-001.h5").exists()
    again = len(seen)
    assert run(tmp_path / "killed", index, cams, weights["affinitynet"], alpha=16).read_bytes() == whole
    assert seen[again:] == list(range(fails_at, 3))


def test_an_empty_shard(tmp_path, index, cams, weights):
    with CamStoreReader([run(tmp_path, index.shard(0, 20), cams, weights["irn"], IRN_WALK)]) as reader:
        assert reader.image_ids == []


def test_an_image_that_changed_is_reported(tmp_path, index, cams, weights):
    index.table.loc[0, "image"] = index.table.loc[1, "image"]
    with pytest.raises(UserError, match=r"two\.png: the image is 32 x 32 pixels"):
        run(tmp_path, index, cams, weights["affinitynet"])


def test_weights_of_something_else_are_reported(tmp_path, index, cams):
    trunk = write_trunk(tmp_path / "trunk.safetensors")
    with pytest.raises(UserError, match="weights of a backbone, not of an affinity network"):
        run(tmp_path, index, cams, trunk)
    assert not (tmp_path / "shards").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("method", "walk"), [(affinitynet(), AFFINITYNET_WALK), (irn(), IRN_WALK)])
def test_a_gpu_computes_the_same(method, walk):
    image, cams = example(81, 93)
    images = normalise(image)[None]
    labels = torch.randint(0, 3, (1, 21, 24))
    method.network.requires_grad_(True)
    found = []
    for device in ("cpu", "cuda"):
        method.network.zero_grad()
        method.network.to(device)
        walked = method.spread(image, cams, walk, 16)
        loss = method.losses(images.to(device), labels.to(device))["loss"]
        loss.backward()
        gradients = [p.grad.norm().item() for p in method.network.parameters() if p.grad is not None]
        found.append((walked.cam, walked.background, loss.item(), gradients))
    method.network.cpu()
    assert loss > 0
    for cpu, cuda in zip(*found, strict=True):
        np.testing.assert_allclose(cuda, cpu, rtol=1e-2, atol=1e-4)
