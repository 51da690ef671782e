import pandas
import pytest
import torch
import torchvision

from wsss_core.backbones import prepare_backbone as backbones
from wsss_core.backbones.prepare_backbone import prepare_backbone
from wsss_core.config.networks import Backbone, Pretext
from wsss_core.config.training import Optimisation
from wsss_core.errors import UserError
from wsss_core.jobs.run import Run
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_trunk


@pytest.fixture
def prepare(tmp_path):
    def run(parameters, name="artifact"):
        folder = tmp_path / name
        prepare_backbone(parameters, folder / "weights.safetensors", folder / "training.csv", run=Run(device="cpu"))
        return folder / "weights.safetensors", pandas.read_csv(folder / "training.csv")

    return run


def weights_of(file, parameters):
    trunk = build_trunk(parameters)
    load_trunk(file, trunk)
    return trunk.state_dict()


def small(weights, **options):
    return Backbone(network="resnet_small", output_stride=8, weights=str(weights), **options)


def test_scratch_depends_on_the_seed_alone(prepare):
    one, curve = prepare(small("scratch"), "one")
    torch.manual_seed(99)
    two, _ = prepare(small("scratch"), "two")
    three, _ = prepare(small("scratch", seed=1), "three")
    assert curve.empty and "loss" in curve
    assert one.read_bytes() == two.read_bytes() != three.read_bytes()


def test_weights_of_a_file_are_taken_over(prepare):
    first, _ = prepare(small("scratch", seed=3), "first")
    second, curve = prepare(small(first), "second")
    assert curve.empty
    one, two = weights_of(first, small("scratch")), weights_of(second, small("scratch"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_pretext_task_is_learned(prepare):
    optimisation = Optimisation(optimizer="adamw", epochs=3, batch_size=16, learning_rate=2e-3, head_factor=1)
    parameters = small("pretext", pretext=Pretext(images=96, size=16, optimisation=optimisation))
    file, curve = prepare(parameters)
    assert curve["epoch"].tolist() == [1, 2, 3]
    assert curve["loss"].iloc[-1] < curve["loss"].iloc[0]
    assert weights_of(file, parameters)["bn1.num_batches_tracked"] == 18


def test_imagenet_weights_are_found_in_torchs_cache(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    torch.manual_seed(0)
    network = torchvision.models.resnet18()
    (tmp_path / "checkpoints").mkdir()
    torch.save(network.state_dict(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    parameters = Backbone(network="resnet18")
    state = weights_of(prepare(parameters)[0], parameters)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in state.items())


def test_without_network_the_sentence_says_where_the_file_belongs(prepare, tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(backbones.torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(UserError, match=r"no route.*resnet50-0676ba61\.pth") as error:
        prepare(Backbone(network="resnet50"))
    assert str(tmp_path / "checkpoints" / "resnet50-0676ba61.pth") in str(error.value)
    assert "scratch" in str(error.value)


def test_a_damaged_file_in_the_cache_is_a_sentence_too(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for content in (b"", b"nothing that torch wrote"):
        (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(content)
        with pytest.raises(UserError, match=r"resnet18-f37072fd\.pth"):
            prepare(Backbone(network="resnet18"))
