import numpy as np
import pandas
import pytest
import torch
from torch.nn import functional

from tests.refinement.tiny_data import SIZES, TRUNK, true_labels, write_images, write_trunk
from wsss_core.backbones.prepare_backbone import TrunkOnly
from wsss_core.config.networks import Trunk
from wsss_core.config.refinement import AffinityNet, Irn
from wsss_core.config.training import Augmentation, Optimisation
from wsss_core.datasets.images import read_image
from wsss_core.datasets.palette import write_label_map
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.jobs.run import Run
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_weights, save_weights
from wsss_core.refinement import irn
from wsss_core.refinement.affinity_method import AFFINITY_METHODS, load_affinity
from wsss_core.refinement.affinity_pairs import neighbour_offsets, pair_affinities
from wsss_core.refinement.irn import IrnMethod
from wsss_core.refinement.pair_labels import pair_labels
from wsss_core.refinement.train_affinity import train_affinity

QUICK = Optimisation(optimizer="adamw", epochs=2, batch_size=2, learning_rate=1e-3)
METHODS = pytest.mark.parametrize("settings", [AffinityNet, Irn])


def of(settings, **changes):
    defaults = {"backbone": "small", "radius": 4, "optimisation": QUICK, "augmentation": Augmentation(crop=48)}
    if settings is AffinityNet:
        defaults["stride"] = 4
    return settings(**{**defaults, **changes})


def untrained(settings, **changes):
    """Settings that the configuration refuses, as nothing would be learned: for comparison."""
    return of(settings, **changes).model_copy(update={"optimisation": Optimisation(epochs=0)})


@pytest.fixture
def data(tmp_path):
    index = write_images(tmp_path / "images")
    labels = {image_id: tmp_path / "labels" / f"{image_id}.png" for image_id in SIZES}
    for image_id, path in labels.items():
        write_label_map(path, true_labels(image_id))
    return index, labels, write_trunk(tmp_path / "trunk.safetensors")


def train(data, folder, settings, workers=0):
    index, labels, start = data
    weights, curve = folder / "weights.safetensors", folder / "training.csv"
    train_affinity(
        settings, TRUNK, index, labels, start, weights, curve, run=Run(inputs=[start], device="cpu", workers=workers)
    )
    return weights, pandas.read_csv(curve)


def grid_labels(image_id: str, stride: int) -> np.ndarray:
    return true_labels(image_id)[stride // 2 :: stride, stride // 2 :: stride].astype(np.int64)


def trained_affinitynet(data, folder, **changes):
    optimisation = Optimisation(optimizer="adamw", epochs=12, batch_size=3, learning_rate=2e-3)
    return train(data, folder, of(AffinityNet, optimisation=optimisation, **changes))


@pytest.mark.parametrize("border_pairs", [False, True])
def test_affinitynet_distinguishes_objects(data, tmp_path, border_pairs):
    weights, curve = trained_affinitynet(data, tmp_path / "artifact", border_pairs=border_pairs)
    assert list(curve) == ["epoch", "loss", "background", "foreground", "negative", "learning_rate"]
    assert curve["epoch"].tolist() == list(range(1, 13))
    assert curve["loss"].iloc[-1] < 0.6 * curve["loss"].iloc[0]
    assert not list((tmp_path / "artifact").rglob("checkpoint.pt"))
    network = load_affinity(weights).network
    assert (network.stride, network.radius, network.border_pairs) == (4, 4, border_pairs)
    image = normalise(read_image(data[0].image_paths[0]))[None]
    offsets = neighbour_offsets(4)
    affinities = pair_affinities(network(image), offsets)
    labels = torch.from_numpy(grid_labels("one", 4))[None]
    kinds = pair_labels(labels, offsets, 4, border_pairs=True)
    background, foreground, negative = (affinities[kind].mean().item() for kind in kinds)
    assert min(background, foreground) > 0.5 > 0.25 > negative


def test_irn_finds_boundaries(data, tmp_path):
    index, labels, _ = data
    trunk, _ = trained_affinitynet(data, tmp_path / "trunk")  # IRN's own stays as it is, so it has to be a useful one
    optimisation = Optimisation(optimizer="adamw", epochs=60, batch_size=3, learning_rate=1e-2, head_factor=1)
    settings = of(Irn, radius=3, optimisation=optimisation, augmentation=Augmentation(crop=40), displacement=False)
    weights, curve = train((index, labels, trunk), tmp_path / "artifact", settings)
    assert list(curve) == ["epoch", "loss", "positive", "negative", "learning_rate"]
    assert curve["loss"].iloc[-1] < 0.65 * curve["loss"].iloc[0]
    network = load_affinity(weights).network
    assert (network.crop_size, network.radius, network.displacement) == (40, 3, False)
    boundary = network.infer_boundary(normalise(read_image(index.image_paths[0])), cut=False)[None, None]
    labels = torch.from_numpy(grid_labels("one", 4)).float()[None, None]
    highest, lowest = (functional.max_pool2d(sign * labels, 3, 1, 1) for sign in (1, -1))
    edge = highest != -lowest
    inside = ~edge
    inside[..., (0, -1), :] = inside[..., (0, -1)] = False  # the image's own border looks like one
    assert boundary[edge].mean() > 0.35 > 0.15 > boundary[inside].mean()


@METHODS
def test_the_same_seed_gives_the_same_bytes_by_any_number_of_workers(data, tmp_path, settings):
    first = train(data, tmp_path / "a", of(settings))[0].read_bytes()
    assert train(data, tmp_path / "b", of(settings), workers=1)[0].read_bytes() == first
    other = of(settings, optimisation=QUICK.model_copy(update={"seed": 1}))
    assert train(data, tmp_path / "c", other)[0].read_bytes() != first


@METHODS
def test_a_killed_run_goes_on_to_the_same_bytes(data, tmp_path, settings, monkeypatch):
    whole, curve = train(data, tmp_path / "whole", of(settings))
    method = AFFINITY_METHODS.find(of(settings).method)
    losses, calls = method.losses, []

    def killed(place):
        def stop(*arguments):
            calls.append(place)
            if place == "finish" or len(calls) == 2:  # one batch an epoch: in the second epoch
                raise KeyboardInterrupt
            return losses(*arguments)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(method, place, stop)
            train(data, tmp_path / "killed", of(settings))
        assert not (tmp_path / "killed" / "weights.safetensors").exists()

    killed("losses")
    killed("finish")
    assert calls == ["losses", "losses", "finish"]
    monkeypatch.setattr(method, "losses", lambda *_: pytest.fail("all epochs were done"))
    again, curve_again = train(data, tmp_path / "killed", of(settings))
    assert again.read_bytes() == whole.read_bytes()
    assert curve_again.equals(curve)


def test_what_affinitynet_freezes(data, tmp_path):
    start, _ = load_weights(data[2])

    def changed(**changes):
        end, _ = load_weights(train(data, tmp_path / str(changes), of(AffinityNet, **changes))[0])
        return {name for name in start if not torch.equal(start[name], end[name])}

    default, stem = changed(), changed(frozen_stem=False)
    norms = changed(freeze_batch_norm=False)
    assert {"trunk.layer2.0.conv1.weight", "trunk.layer4.0.conv2.weight"} <= default
    assert not any(name.startswith(("trunk.conv1", "trunk.bn1", "trunk.layer1")) for name in default | norms)
    assert stem - default == {"trunk.conv1.weight", "trunk.layer1.0.conv1.weight", "trunk.layer1.0.conv2.weight"}
    assert not any("bn" in name for name in default | stem)
    assert {"trunk.layer2.0.bn1.running_mean", "trunk.layer4.0.bn2.weight"} <= norms
    end, _ = load_weights(train(data, tmp_path / "untrained", untrained(AffinityNet))[0])
    assert all(torch.equal(start[name], end[name]) for name in start)


def test_irn_trains_its_branches_alone(data, tmp_path):
    start, _ = load_weights(data[2])
    both, _ = load_weights(train(data, tmp_path / "both", of(Irn))[0])
    one, _ = load_weights(train(data, tmp_path / "one", of(Irn, displacement=False))[0])
    none, _ = load_weights(train(data, tmp_path / "none", untrained(Irn))[0])
    assert all(torch.equal(end[name], start[name]) for end in (both, one) for name in start)
    for name in [name for name in both if name.startswith(("boundary", "displacement"))]:
        if name.startswith("boundary"):  # the frozen trunk keeps the branches apart
            assert torch.equal(both[name], one[name]) and not torch.equal(one[name], none[name]), name
        elif name == "displacement_mean":
            assert not one[name].any() and both[name].any()
        else:
            assert torch.equal(one[name], none[name]) and not torch.equal(both[name], one[name]), name


def test_untrained_displacements_are_not_even_computed(data, tmp_path, monkeypatch):
    monkeypatch.setattr(irn.IrnNetwork, "_displacements", lambda *_: pytest.fail("computed"))
    train(data, tmp_path / "one", of(Irn, displacement=False))
    with pytest.raises(pytest.fail.Exception, match="computed"):
        train(data, tmp_path / "both", of(Irn))


@pytest.mark.parametrize("images_at_once", [1, 2, 8])
@pytest.mark.parametrize("crop", [36, 64])  # smaller than two of the images, and larger than all
def test_the_mean_displacement_is_that_of_all_images(data, tmp_path, monkeypatch, crop, images_at_once):
    monkeypatch.setattr(irn, "IMAGES_AT_ONCE", images_at_once)
    weights, _ = train(data, tmp_path / "artifact", of(Irn, augmentation=Augmentation(crop=crop)))
    network = load_affinity(weights).network
    means = []
    for path in data[0].image_paths:
        image = normalise(read_image(path))[:, :crop, :crop]
        padded = torch.zeros(1, 3, crop, crop)
        padded[0, :, : image.shape[1], : image.shape[2]] = image
        means.append(network(padded)[1].mean(dim=(0, 2, 3)))
    torch.testing.assert_close(network.displacement_mean, torch.stack(means).mean(dim=0), rtol=1e-5, atol=1e-5)


@METHODS
def test_learning_rates_of_the_groups(settings):
    method = AFFINITY_METHODS.find(of(settings).method).build(of(settings), TRUNK)
    parameters = {id(p): name for name, p in method.network.named_parameters()}
    optimisation = Optimisation(head_factor=3)
    changes = {"displacement_factor": 7.0} if settings is Irn else {}
    groups = method.parameter_groups(of(settings, optimisation=optimisation, **changes))
    factors = {
        parameters[id(p)].split(".")[0].split("_")[0]: group["factor"] for group in groups for p in group["params"]
    }
    expected = {"boundary": 3, "displacement": 21} if settings is Irn else {"trunk": 1, "reductions": 3, "mixing": 3}
    assert factors == expected


@METHODS
@pytest.mark.parametrize("crop", [8, 20])
@pytest.mark.parametrize("value", [0, 255])
def test_crops_without_any_pair_have_no_loss(settings, crop, value):
    method = AFFINITY_METHODS.find(of(settings).method).build(of(settings, radius=6), TRUNK)
    grid = -(-crop // method.stride)
    labels = torch.full((2, grid, grid), value)
    losses = method.losses(torch.randn(2, 3, crop, crop), labels)
    assert losses["loss"].item() == 0
    losses["loss"].backward()
    gradients = [p.grad for group in method.parameter_groups(of(settings)) for p in group["params"]]
    assert any(gradient is not None for gradient in gradients)
    assert not any(gradient.any() for gradient in gradients if gradient is not None)


def test_training_without_any_pair_ends(data, tmp_path):
    for settings in (AffinityNet, Irn):
        with pytest.raises(ValueError, match=r"'augmentation\.crop' of 16 pixels has 4 cells each way"):
            of(settings, augmentation=Augmentation(crop=16))
        anyway = of(settings).model_copy(update={"augmentation": Augmentation(crop=16)})
        _, curve = train(data, tmp_path / settings.__name__, anyway)
        assert (curve["loss"] == 0).all()


@METHODS
def test_other_trunks_are_learned_on_as_well(data, tmp_path, settings):
    index, labels, _ = data
    trunk, start = Trunk(network="vgg16_small"), tmp_path / "vgg16.safetensors"
    torch.manual_seed(0)
    save_weights(start, TrunkOnly(build_trunk(trunk)), {})
    files = tmp_path / "weights.safetensors", tmp_path / "training.csv"
    train_affinity(of(settings), trunk, index, labels, start, *files, run=Run(device="cpu"))
    assert load_affinity(files[0]).network.trunk.stage_channels == build_trunk(trunk).stage_channels


@METHODS
def test_missing_and_misfitting_label_maps_are_reported(data, tmp_path, settings):
    index, labels, start = data
    with pytest.raises(UserError, match="1 of 3 training images have no confident label map, such as 'two'"):
        train((index, {name: labels[name] for name in ("one", "none")}, start), tmp_path / "a", of(settings))
    write_label_map(labels["two"], np.zeros((5, 6), np.uint8))
    with pytest.raises(UserError, match=r"two\.png: the label map's size \(5, 6\)"):
        train(data, tmp_path / "a", of(settings))


def test_the_kind_of_a_file_gives_its_method(data, tmp_path):
    weights, _ = train(data, tmp_path / "artifact", of(Irn))
    assert isinstance(load_affinity(weights), IrnMethod)
    with pytest.raises(UserError, match=r"weights of a backbone, not of an affinity network \(affinitynet, irn\)"):
        load_affinity(data[2])
    save_weights(tmp_path / "none.safetensors", torch.nn.Linear(1, 1), {"kind": "none"})
    with pytest.raises(UserError, match="weights of a none"):
        load_affinity(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="weights of a irn, not of a affinitynet"):
        AFFINITY_METHODS.find("affinitynet").load(weights)


@METHODS
def test_an_imported_network_is_used_as_it_is(settings, data, tmp_path):
    first, _ = train(data, tmp_path / "first", of(settings))
    imported = of(settings, weights=str(first), optimisation=Optimisation(epochs=0))
    index, _, _ = data
    weights, curve = tmp_path / "second" / "weights.safetensors", tmp_path / "second" / "training.csv"
    train_affinity(imported, TRUNK, index, {}, first, weights, curve, run=Run(device="cpu"))
    assert weights.read_bytes() == first.read_bytes() and len(pandas.read_csv(curve)) == 0
    further = of(settings, weights=str(first))
    index, labels, _ = data
    train_affinity(further, TRUNK, index, labels, first, weights, curve, run=Run(device="cpu"))
    assert weights.read_bytes() != first.read_bytes() and len(pandas.read_csv(curve)) == 2


def test_an_imported_network_of_other_settings_is_reported(data, tmp_path):
    index, labels, trunk = data
    first, _ = train(data, tmp_path / "first", of(AffinityNet))
    out = (tmp_path / "w.safetensors", tmp_path / "t.csv")
    other = of(AffinityNet, weights=str(first), radius=3)
    with pytest.raises(UserError, match=r"another affinity network than that of the settings: radius is 4, not 3"):
        train_affinity(other, TRUNK, index, labels, first, *out, run=Run(device="cpu"))
    with pytest.raises(UserError, match="method is affinitynet, not irn"):
        train_affinity(of(Irn, weights=str(first)), TRUNK, index, labels, first, *out, run=Run(device="cpu"))
    with pytest.raises(UserError, match="not of an affinity network"):
        train_affinity(other, TRUNK, index, labels, trunk, *out, run=Run(device="cpu"))


@METHODS
def test_bfloat16_is_close_and_weights_stay_in_float32(data, tmp_path, settings):
    curves = []
    for precision in ("float32", "bfloat16"):
        optimisation = QUICK.model_copy(update={"precision": precision})
        weights, curve = train(data, tmp_path / precision, of(settings, optimisation=optimisation))
        assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in load_weights(weights)[0].values())
        curves.append(curve["loss"].tolist())
    assert curves[0] != curves[1] and curves[1] == pytest.approx(curves[0], rel=0.05)
