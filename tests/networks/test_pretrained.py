import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import get_model

from tests.conftest import GOLDEN
from tests.networks.test_mxnet_params import write_list
from tests.parity.cases import Case, authors_weights, standard_normal
from tests.parity.test_psa import radius_of_pairs
from wsss_core.__main__ import main
from wsss_core.classifiers.objective import OBJECTIVES
from wsss_core.classifiers.starting_weights import start_from_classifier
from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.classifiers import AeftClassifier, Classifier, OrdinaryClassifier, SeenetClassifier
from wsss_core.config.networks import Trunk
from wsss_core.config.trained_on import trained_on
from wsss_core.datasets.transforms import normalise
from wsss_core.errors import UserError
from wsss_core.importing.authors_formats import FORMATS
from wsss_core.importing.authors_names import mxnet_name
from wsss_core.importing.library_networks import TORCHVISION
from wsss_core.importing.pretrained import import_weights, read_classes
from wsss_core.networks import deeplabv2, irn
from wsss_core.networks.affinitynet import load_affinitynet
from wsss_core.networks.classifier_files import classifier_description, load_classifier
from wsss_core.networks.imagenet_weights import trunk_from_torchvision
from wsss_core.networks.segmenter_files import load_segmenter
from wsss_core.networks.trunks import build_trunk
from wsss_core.networks.weights import load_trunk, load_weights
from wsss_core.refinement.affinity_pairs import inner_window, neighbour_offsets, pair_affinities

NETWORKS = {
    "irn-cam": "resnet50_cam",
    "oc-cse": "resnet38_oc_cse",
    "aeft": "resnet38_aeft",
    "seenet": "seenet",
    "psa": "resnet38_aff",
    "irn": "irn",
    "deeplab-pytorch": "deeplabv2_msc",
}
"""Formats of authors' checkpoints, and which names_<network>.json has their names."""
LAST_LAYERS = {
    "irn-cam": "classifier.weight",
    "oc-cse": "fc8.weight",
    "aeft": "fc9.weight",
    "seenet": "score_b1.weight",
    "psa": "f8_3.weight",
    "irn": "fc_dp7.3.weight",
    "deeplab-pytorch": "base.aspp.c1.weight",
}
RESNET38 = Trunk(network="resnet38", output_stride=8)
AEFT_TRUNK = Trunk(network="resnet38", output_stride=8, dropout=(0.2, 0.2))
VGG16 = Trunk(network="vgg16", output_stride=16, pixels="caffe")


def shapes_of(network: str) -> dict[str, list[int]]:
    return json.loads((GOLDEN / f"names_{network}.json").read_text())["names"]


def slim(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Tensors that take no room in memory or in a file of torch.save: every element is the same one."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def slim_torchvision(network: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        state = get_model(network).state_dict()
    return slim({name: list(tensor.shape) for name, tensor in state.items()})


@pytest.fixture(scope="session")
def affinity_weights() -> dict[str, Tensor]:
    """AffinityNet's by the recipe, whose trunk is the one of all on ResNet-38."""
    return authors_weights("resnet38_aff")


@pytest.fixture
def on_resnet38(affinity_weights):
    def weights(network: str) -> dict[str, Tensor]:
        return {
            name: affinity_weights[name]
            if name in affinity_weights
            else torch.from_numpy(standard_normal(name, tuple(shape))).float()
            for name, shape in shapes_of(network).items()
        }

    return weights


@pytest.fixture
def imported(tmp_path):
    """Imports a state dict; the large files are gone after the test."""

    def run(form: str, state: object, **options) -> Path:
        torch.save(state, tmp_path / "in.pth")
        import_weights(form, tmp_path / "in.pth", tmp_path / "out.safetensors", **options)
        return tmp_path / "out.safetensors"

    yield run
    for file in tmp_path.iterdir():
        if file.is_file():
            file.unlink()


def refused(imported, form: str, state: object, **options) -> str:
    with pytest.raises(UserError) as caught:
        imported(form, state, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def check_same(own: dict[str, Tensor], theirs: dict[str, Tensor], names: dict[str, str]) -> None:
    """All weights are there, where ``names`` tells beginnings of theirs and ours."""
    expected = {}
    for name, tensor in theirs.items():
        beginning = next(beginning for beginning in names if name.startswith(beginning))
        expected[names[beginning] + name.removeprefix(beginning)] = tensor
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    assert own.keys() - counters == expected.keys()
    assert all(torch.equal(own[name], expected[name]) for name in expected)
    assert all(own[name] == 0 for name in counters)


def check_usable_untrained(path: Path, settings: Classifier, trunk: Trunk) -> None:
    """What a classifier with ``epochs: 0`` asks for."""
    with torch.device("meta"):
        network = OBJECTIVES.find(settings.objective).build_network(settings, trunk, VOC_CLASSES)
    assert classifier_description(load_classifier(path)) == classifier_description(network)


def test_classifier_of_irn(imported):
    state = authors_weights("resnet50_cam")
    aliases = {f"{alias}.weight": state["resnet50.conv1.weight"] for alias in ("stage1.0", "backbone.0.0")}
    aliases["newly_added.0.weight"] = state["classifier.weight"]
    path = imported("irn-cam", state | aliases)
    names = {"resnet50.": "trunk.", "classifier.": "head."}
    check_same(load_weights(path)[0], state, names)
    settings, trunk = OrdinaryClassifier(backbone="any"), Trunk(network="resnet50")
    check_usable_untrained(path, settings, trunk)
    network = OBJECTIVES.find(settings.objective).build_network(settings, trunk, VOC_CLASSES)
    start_from_classifier(path, network, whole=True)
    check_same(network.state_dict(), state, names)


def test_network_of_oc_cse_saved_by_data_parallel(imported, on_resnet38):
    state = on_resnet38("resnet38_oc_cse")
    path = imported("oc-cse", {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3})
    check_same(load_weights(path)[0], state, {"fc8.": "head.", "": "trunk."})
    check_usable_untrained(path, OrdinaryClassifier(backbone="any"), RESNET38)


def test_classifier_of_psa_is_distinguished_from_its_affinitynet(imported):
    state = slim(shapes_of("resnet38_oc_cse"))  # the same names
    del state["conv1a.weight"]
    assert "classifier of psa (resnet38_cls): it lacks conv1a.weight" in refused(imported, "psa", state)
    state["f9.weight"] = state.pop("fc8.weight")
    assert "AffinityNet of psa (resnet38_aff): it lacks conv1a.weight" in refused(imported, "psa", state)


def test_network_of_aeft(imported, on_resnet38):
    state = on_resnet38("resnet38_aeft")
    path = imported("aeft", state)
    names = {f"gconv{k}.att_p.0.": f"pooling.gates.{k - 1}.positive." for k in (1, 2, 3)}
    names |= {f"gconv{k}.att_n.0.": f"pooling.gates.{k - 1}.negative." for k in (1, 2, 3)}
    used = {name: tensor for name, tensor in state.items() if not name.startswith("bn8.")}
    check_same(load_weights(path)[0], used, {**names, "fc8.": "reduction.", "fc9.": "head.", "": "trunk."})
    check_usable_untrained(path, AeftClassifier(backbone="any"), AEFT_TRUNK)


def test_network_of_seenet(imported):
    state = authors_weights("seenet")
    path = imported("seenet", state)
    names = {f"{layer}_b1.": f"first.{layer}." for layer in ("conv1", "conv2", "score")}
    names |= {f"{layer}_b2.": f"second.{layer}." for layer in ("conv1", "conv2", "score")}
    check_same(load_weights(path)[0], state, {**names, "": "trunk."})
    check_usable_untrained(path, SeenetClassifier(backbone="any"), VGG16)


def test_affinitynet_computes_what_the_authors_computes(imported, affinity_weights, request):
    network = load_affinitynet(imported("psa", affinity_weights))
    names = {f"f8_{k}.": f"reductions.{k - 3}." for k in (3, 4, 5)} | {"f9.": "mixing.", "": "trunk."}
    check_same(network.state_dict(), affinity_weights, names)
    files = sorted(request.config.getoption("--golden-dir").glob("psa_aff*.npz"))
    assert files
    for file in files:
        case = Case(file)
        image = normalise(case["image"])
        # Zeros on the normalised image, as the authors pad.
        padded = nn.functional.pad(image, (0, -image.shape[2] % 8, 0, -image.shape[1] % 8))[None]
        with torch.inference_mode():
            for name, maps in zip(("conv4_mean", "conv5_mean", "conv6_mean"), network.trunk(padded)[1:], strict=True):
                torch.testing.assert_close(maps.mean(dim=(2, 3)), case.tensor(name), rtol=1e-5, atol=1e-5)
            features = network(padded)
        offsets = neighbour_offsets(radius_of_pairs(case["aff"].shape[1]))
        window = inner_window(network.radius, *features.shape[2:])
        affinities = pair_affinities(features[0], offsets)[(slice(None), *window)].flatten(1)
        torch.testing.assert_close(affinities[None], case.tensor("aff"), rtol=0, atol=1e-5)


def test_network_of_irn(imported):
    state = authors_weights("irn")
    extra = {"stage1.0.weight": state["resnet50.conv1.weight"], "path_indices_0": torch.zeros(3, 4).long()}
    network = irn.load_irn(imported("irn", state | extra))
    own = irn.from_authors(state)
    assert network.state_dict().keys() == own.keys()
    check_same(network.state_dict(), {name: own[name] for name in own if not name.endswith("_tracked")}, {"": ""})
    assert network.crop_size == 512


def test_deeplab(imported):
    state = authors_weights("deeplabv2_msc")
    network = load_segmenter(imported("deeplab-pytorch", state, trained_on="ImageNet, COCO, VOC"))
    own = deeplabv2.from_authors(state)
    assert network.state_dict().keys() == own.keys()
    check_same(network.state_dict(), {name: own[name] for name in own if "_tracked" not in name}, {"": ""})
    assert network.classes == ("background", *VOC_CLASSES)
    assert network.input_scales == (0.5, 0.75)
    assert network.trunk.pixel_scale == "caffe"


def test_deeplab_v1_is_a_backbone(imported):
    state = slim({name.removeprefix("base."): shape for name, shape in shapes_of("deeplabv2_msc").items()})
    state = {name: tensor for name, tensor in state.items() if "aspp" not in name}
    path = imported("deeplab-pytorch", {**state, "fc.weight": torch.zeros(1000, 2048)}, trained_on="ImageNet")
    load_trunk(path, build_trunk(Trunk(network="resnet101", pixels="caffe")))
    with pytest.raises(UserError, match="for pixels: caffe, the trunk is set to pixels: imagenet"):
        load_trunk(path, build_trunk(Trunk(network="resnet101")))
    assert load_weights(path)[1]["kind"] == "backbone"


def test_what_deeplab_was_trained_on_has_to_be_said(imported, tmp_path):
    """The backbone from COCO and the one from ImageNet have the same names and shapes."""
    state = slim({name.removeprefix("base."): shape for name, shape in shapes_of("deeplabv2_msc").items()})
    state = {name: tensor for name, tensor in state.items() if "aspp" not in name}
    assert "say with --trained-on" in refused(imported, "deeplab-pytorch", state)
    target = tmp_path / "out.safetensors"
    arguments = ["import-weights", "--format", "deeplab-pytorch", "--trained-on", "ImageNet, COCO"]
    assert main([*arguments, str(tmp_path / "in.pth"), str(target)]) == 0
    assert trained_on(target) == "ImageNet, COCO"


@pytest.mark.parametrize("network", TORCHVISION)
def test_torchvision(imported, network):
    state = {
        name: tensor if tensor.dim() == 0 else torch.from_numpy(standard_normal(name, (1,))).float().expand_as(tensor)
        for name, tensor in slim_torchvision(network).items()
        if "num_batches" not in name  # old files lack it
    }
    path = imported("torchvision", state)
    trunk = build_trunk(Trunk(network=network))
    load_trunk(path, trunk)
    check_same(trunk.state_dict(), trunk_from_torchvision(state, network), {"": ""})
    assert load_weights(path)[1]["backbone"]["network"] == network
    assert trained_on(path) == "ImageNet"


def test_resnet38_of_mxnet(tmp_path, affinity_weights):
    names = {f"trunk.{name}": tensor for name, tensor in affinity_weights.items() if not name.startswith("f")}
    arrays = {}
    for name, tensor in names.items():
        kind = "aux" if "running" in name else "arg"
        arrays[f"{kind}:{mxnet_name(name)}"] = tensor.numpy()
    arrays["arg:linear1000_weight"] = torch.zeros(10, 4).numpy()
    write_list(tmp_path / "in.params", arrays)
    import_weights("mxnet-params", tmp_path / "in.params", tmp_path / "out.safetensors")
    (tmp_path / "in.params").unlink()
    trunk = build_trunk(RESNET38)
    load_trunk(tmp_path / "out.safetensors", trunk)
    (tmp_path / "out.safetensors").unlink()
    check_same({f"trunk.{name}": tensor for name, tensor in trunk.state_dict().items()}, names, {"": ""})


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        ("conv1a.weight", "conv1a_weight"),
        ("b2.conv_branch1.weight", "res2a_branch1_weight"),
        ("b2.bn_branch2a.running_mean", "bn2a_branch2a_moving_mean"),
        ("b4_5.conv_branch2b1.weight", "res4b5_branch2b1_weight"),
        ("b4_5.bn_branch2b1.running_var", "bn4b5_branch2b1_moving_var"),
        ("b7.bn_branch2b2.weight", "bn7a_branch2b2_gamma"),
        ("b7.bn_branch2b2.bias", "bn7a_branch2b2_beta"),
        ("bn7.weight", "bn7_gamma"),
        ("bn7.running_mean", "bn7_moving_mean"),
    ],
)
def test_names_of_mxnet(own, theirs):
    assert mxnet_name(f"trunk.{own}") == theirs


@pytest.mark.parametrize("form", NETWORKS)
def test_missing_weights_are_named(imported, form):
    state = slim(shapes_of(NETWORKS[form]))
    del state[LAST_LAYERS[form]]
    message = refused(imported, form, state)
    assert f"it lacks {LAST_LAYERS[form].removeprefix('base.')}" in message


@pytest.mark.parametrize("form", NETWORKS)
def test_misshapen_weights_are_named(imported, form):
    state = slim(shapes_of(NETWORKS[form]))
    shape = [state[LAST_LAYERS[form]].shape[0], 3, 1, 1]
    wanted = list(state[LAST_LAYERS[form]].shape)
    state[LAST_LAYERS[form]] = torch.zeros(shape)
    message = refused(imported, form, state)
    assert f"it has {LAST_LAYERS[form].removeprefix('base.')} {shape} for {wanted}" in message


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "mxnet-params"])
def test_foreign_networks_are_refused(imported, form):
    message = refused(imported, form, slim({"encoder.weight": [3, 3]}))
    assert "in.pth: " in message


def test_left_over_weights_are_named(imported):
    state = slim(shapes_of("seenet"))
    assert "encoder.weight" in refused(imported, "seenet", state | slim({"encoder.weight": [3]}))


@pytest.mark.parametrize("network", ["resnet18", "resnet50"])
def test_residual_networks_of_timm(imported, network):
    """Names and maps are those of our own trunk."""
    torch.manual_seed(0)
    whole = timm.create_model(network, pretrained=False).eval()
    with torch.no_grad():
        for name, weight in whole.named_buffers():
            weight.copy_(torch.rand(weight.shape) + 0.5 if "running_var" in name else weight)
    trunk = build_trunk(Trunk(network=network, output_stride=16)).eval()
    load_trunk(imported("timm", whole.state_dict(), trained_on="ImageNet"), trunk)
    reference = timm.create_model(network, pretrained=False, features_only=True, output_stride=16).eval()
    reference.load_state_dict({name: w for name, w in whole.state_dict().items() if not name.startswith("fc.")})
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for own, theirs in zip(trunk(image)[:3], reference(image)[1:4], strict=True):  # timm dilates the last layer
            torch.testing.assert_close(own, theirs)


def test_networks_of_timm_without_a_trunk_here(imported):
    assert "none of timm's networks resnet18, resnet34" in refused(imported, "timm", slim_torchvision("vgg16"))


def test_networks_of_torchvision_without_a_trunk_here(imported):
    assert "none of torchvision's networks" in refused(imported, "torchvision", slim_torchvision("densenet121"))
    state = slim_torchvision("resnet18")
    del state["layer4.1.conv2.weight"]
    assert "resnet18 of torchvision: it lacks layer4.1.conv2.weight" in refused(imported, "torchvision", state)


def test_values_that_are_no_numbers(imported):
    state = slim(shapes_of("seenet"))
    state["conv5_3.bias"] = torch.full((512,), torch.nan)
    assert "values of conv5_3.bias are not finite" in refused(imported, "seenet", state)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("hostile",)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_is_unpickled(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Hostile()}, "in.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"contains posix\.mkdir, and is not read"):
        import_weights("psa", "in.pth", "out.safetensors")
    Path("in.pth").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(UserError, match=r"is damaged, or was not written by torch.save"):
        import_weights("psa", "in.pth", "out.safetensors")
    assert sorted(os.listdir()) == ["in.pth"]


def test_a_network_inside_another_is_found(imported):
    inner = slim_torchvision("resnet18")
    reported = refused(imported, "torchvision", {f"backbone.{name}": tensor for name, tensor in inner.items()})
    assert "names are backbone." in reported and "under the beginning 'backbone.' it has a resnet18" in reported


def test_what_a_file_holds_besides_weights_is_reported(tmp_path):
    torch.save({"epoch": 3, "student": {"a": torch.zeros(2)}}, tmp_path / "in.pth")
    with pytest.raises(UserError, match="'epoch' is of type int; there are weights under 'student': write"):
        import_weights("psa", tmp_path / "in.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize("name", ["in.pth", "in.safetensors"])
def test_what_is_no_weights_is_named(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 102\n")
    with pytest.raises(UserError, match="is a pointer of Git LFS, not the file itself; fetch"):
        import_weights("torchvision", tmp_path / name, tmp_path / "out.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_damaged_files(tmp_path, zipped, share):
    torch.save({"fc8.weight": torch.zeros(100, 100)}, tmp_path / "in.pth", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "in.pth").read_bytes()
    (tmp_path / "in.pth").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"in\.pth: is damaged" if share else r"in\.pth: is empty"):
        import_weights("psa", tmp_path / "in.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no state dict .* of type list"),
        ({}, "without any weights"),
        ({"fc8.weight": 1}, "'fc8.weight' is of type int"),
        ({1: torch.zeros(1)}, "1 is of type Tensor"),
        ({"fc8.weight": torch.zeros(2).to_sparse()}, "not an ordinary tensor"),
    ],
)
def test_contents_that_are_no_weights(imported, content, message):
    with pytest.raises(UserError, match=message):
        imported("psa", content)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["missing.pth", "missing.safetensors", "folder", "folder.safetensors"])
def test_files_that_are_not_there(tmp_path, form, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UserError, match=name):
        import_weights(form, tmp_path / name, tmp_path / "out.safetensors")


def test_same_bytes_from_any_container_over_an_existing_file(tmp_path, imported):
    state = {name: tensor.contiguous() for name, tensor in slim_torchvision("resnet18").items()}
    path = imported("torchvision", {"model": state})
    first = path.read_bytes()
    path.write_bytes(b"old")
    save_file(state, tmp_path / "in.safetensors")
    import_weights("torchvision", tmp_path / "in.safetensors", path)
    assert path.read_bytes() == first
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_target_must_be_another_safetensors_file(tmp_path):
    source = tmp_path / "in.safetensors"
    save_file({"a": torch.zeros(1)}, source)
    with pytest.raises(UserError, match="is also the file to read"):
        import_weights("psa", source, source)
    with pytest.raises(UserError, match=r"has to end in \.safetensors"):
        import_weights("psa", source, tmp_path / "out.pth")
    with pytest.raises(UserError, match="no format 'caffe'"):
        import_weights("caffe", source, tmp_path / "out.safetensors")


def test_target_that_cannot_be_written(tmp_path, imported):
    (tmp_path / "out.safetensors").mkdir()
    assert "cannot be written" in refused(imported, "torchvision", slim_torchvision("resnet18"))


def test_other_classes_have_to_be_named(imported):
    shapes = shapes_of("seenet")
    for name in shapes:
        if name.startswith("score"):
            shapes[name][0] = 3
    assert "has 3 classes, not PASCAL VOC's 20" in refused(imported, "seenet", slim(shapes))
    assert "--classes names 2" in refused(imported, "seenet", slim(shapes), classes=["a", "b"])
    network = load_classifier(imported("seenet", slim(shapes), classes=["a", "b", "c"]))
    assert network.classes == ("a", "b", "c")
    message = refused(imported, "torchvision", slim_torchvision("resnet18"), classes=["a"])
    assert "has no classes" in message


def test_classes_on_the_command_line(tmp_path):
    assert read_classes("cat, potted plant") == ("cat", "potted plant")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert read_classes(str(tmp_path / "classes.txt")) == ("cat", "dog")
    for wrong in ("cat,,dog", "cat,cat", ""):
        with pytest.raises(UserError, match="empty or occurs twice"):
            read_classes(wrong)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wsss_core", "import-weights", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_command_line(tmp_path, capsys):
    torch.save(slim_torchvision("resnet18"), tmp_path / "in.pth")
    done = run("--format", "torchvision", tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    assert "trunk.conv1.weight" in load_file(tmp_path / "out.safetensors")
    (tmp_path / "out.safetensors").unlink()
    failed = main(["import-weights", "--format", "psa", str(tmp_path / "in.pth"), str(tmp_path / "other.safetensors")])
    said = capsys.readouterr().err
    assert failed == 2 and said.count("\n") == 1 and "is not a file of psa" in said
    assert not (tmp_path / "other.safetensors").exists()


def test_command_line_takes_classes(tmp_path, capsys):
    torch.save(slim(shapes_of("seenet")), tmp_path / "in.pth")
    target = tmp_path / "out.safetensors"
    names = ",".join(f"class{k}" for k in range(20))
    assert (
        main(["import-weights", "--format", "seenet", "--classes", names, str(tmp_path / "in.pth"), str(target)]) == 0
    )
    assert load_weights(target)[1]["classes"] == names.split(",")
    target.unlink()
    assert str(target) in capsys.readouterr().out
