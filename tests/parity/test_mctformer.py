"""MCTformer+ against the authors' code; tolerances of ``tests/golden/README.md``."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.parity.cases import Case, authors_names, authors_weights, check_sums
from tests.parity.imported import check_norms, largest_difference
from wsss_core.cams.class_attention import class_attention, class_attention_maps, joined_maps, patch_attention
from wsss_core.classifiers.mctformer import MctformerObjective
from wsss_core.config.cams import ClassAttentionCams
from wsss_core.config.classifiers import MctformerClassifier
from wsss_core.config.dataset import VOC_CLASSES
from wsss_core.datasets.transforms import normalise, rescale
from wsss_core.importing.authors_names import MCTFORMER_CLASSIFIER, by_beginning
from wsss_core.importing.pretrained import import_weights
from wsss_core.networks.class_tokens import ClassTokenClassifier
from wsss_core.networks.classifier_files import load_classifier

pytestmark = pytest.mark.xdist_group("mctformer")

LOGITS, TOKENS, LOSSES, NORMS, FUSED, MAPS = 2e-5, 3e-4, 1e-5, 1e-5, 5e-5, 1e-4
EXACT, EXACT_MAPS = 1e-9, 1e-6
NAMES = by_beginning(MCTFORMER_CLASSIFIER)


def weights_of(classes: int, input_size: int) -> dict[str, Tensor]:
    """The recipe's, for the sizes of a case."""
    names = dict(authors_names("mctformer_plus"))
    width, patch = names["cls_token"][2], names["patch_embed.proj.weight"][2]
    names |= {name: [1, classes, width] for name in ("cls_token", "pos_embed_cls")}
    names |= {"pos_embed_pat": [1, (input_size // patch) ** 2, width]}
    names |= {"head.weight": [classes, *names["head.weight"][1:]], "head.bias": [classes]}
    return authors_weights("mctformer_plus", names=names)


@pytest.fixture(scope="module")
def network_of(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("mctformer")

    @cache
    def made(classes: int, input_size: int) -> Path:
        source, target = folder / "source.safetensors", folder / f"{classes}-{input_size}.safetensors"
        save_file(weights_of(classes, input_size), source)
        names = VOC_CLASSES if classes == len(VOC_CLASSES) else tuple(f"class{k}" for k in range(classes))
        import_weights("mctformer", source, target, names)
        return target

    def read(case: Case) -> ClassTokenClassifier:
        options = case.json("options_json")
        network = load_classifier(made(options["classes"], options["input_size"]))
        assert isinstance(network, ClassTokenClassifier) and network.ranking_decay == options["decay"]
        return network

    return read


def settings_of(case: Case) -> MctformerClassifier:
    options = case.json("options_json")
    return MctformerClassifier(
        backbone="any",
        contrast_layers=options["contrast_layers"],
        contrast_weight=options["contrast_weight"],
        ranking_decay=options["decay"],
        drop_path=options["drop_path"],
        augmentation={"crop": options["input_size"]},
    )


@pytest.mark.golden("mctformer_train*.npz")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_of_training(case: Case, network_of, dtype):
    options = case.json("options_json")
    check_sums(weights_of(options["classes"], options["input_size"]), case)
    network = network_of(case).to(dtype).requires_grad_(True)
    images = torch.stack([normalise(image) for image in case["images"]]).to(dtype)
    labels = case.tensor("labels").to(dtype)
    seen = network.see(images)
    losses = MctformerObjective(network, settings_of(case), None).losses(images, labels, 0)
    prefix, logits, loss, norms = "", LOGITS, LOSSES, NORMS
    if dtype == torch.float64:
        prefix, logits, loss, norms = "f64_", EXACT, EXACT, EXACT
    else:
        assert largest_difference(seen.class_tokens[-1], case.tensor("class_tokens")) <= TOKENS
        assert largest_difference(seen.class_tokens[0], case.tensor("class_tokens_first")) <= TOKENS
    assert largest_difference(seen.class_logits, case.tensor(f"{prefix}class_logits")) <= logits
    assert largest_difference(seen.patch_logits, case.tensor(f"{prefix}patch_logits")) <= logits
    weighted = {"class_tokens": 1, "patches": 1, "contrast": options["contrast_weight"]}
    for name, theirs in {"class_tokens": "loss_class", "patches": "loss_patch", "contrast": "loss_contrast"}.items():
        expected = weighted[name] * case[f"{prefix}{theirs}"].item()
        assert losses[name].item() == pytest.approx(expected, rel=loss), name
    assert losses["loss"].item() == pytest.approx(case[f"{prefix}loss"].item(), rel=loss)

    losses["loss"].backward()
    check_norms(network, NAMES, case.json(f"{prefix}grad_norms_json"), norms)
    without = {NAMES(name) for name, weight in network.named_parameters() if weight.grad is None}
    assert without >= set(case.json("no_grad_json"))
    if dtype == torch.float32:
        for name, ours in {
            "grad_cls_token": network.class_tokens,
            "grad_pos_embed_cls": network.class_positions,
            "grad_head_bias": network.head.bias,
        }.items():
            assert largest_difference(ours.grad.view(case[name].shape), case.tensor(name)) <= LOSSES, name


@pytest.mark.golden("mctformer_maps*.npz")
def test_what_a_view_shows(case: Case, network_of):
    network, options = network_of(case), case.json("options_json")
    settings = ClassAttentionCams(classifier="any", layers=options["layers"])
    views = [(scale, flip) for scale in options["scales"] for flip in (False, True)]
    with torch.inference_mode():
        for number, (scale, flip) in enumerate(views):
            image = rescale(case["image"], scale)
            assert image.shape[:2] == tuple(case["sizes"][number])
            pixels = normalise(np.ascontiguousarray(image[:, ::-1]) if flip else image)[None]
            seen = network.see(pixels, "drop", attention=True)
            logits = (seen.class_logits + seen.patch_logits)[0] / 2
            assert largest_difference(logits, case.tensor(f"logits_{number}")) <= LOGITS
            fused = joined_maps(seen, settings)
            assert largest_difference(fused[0], case.tensor(f"fused_{number}")) <= FUSED
            if number == 0:
                attention = class_attention(seen, options["layers"])[0]
                assert largest_difference(attention, case.tensor("class_attention")) <= FUSED
                assert largest_difference(seen.maps[0].relu(), case.tensor("patch_maps").relu()) <= TOKENS
                spread = patch_attention(seen.attention, len(network.classes))[0]
                assert largest_difference(spread, case.tensor("patch_attention")) <= FUSED


@pytest.mark.golden("mctformer_maps*.npz")
@pytest.mark.parametrize("spread", [True, False])
def test_maps_of_an_image(case: Case, network_of, spread: bool):
    network, options, classes = network_of(case), case.json("options_json"), case["keys"].tolist()
    settings = ClassAttentionCams(classifier="any", layers=options["layers"], scales=options["scales"], spread=spread)
    _, high_res = class_attention_maps(network, case["image"], classes, settings).normalised()
    assert high_res is not None
    assert largest_difference(high_res, case.tensor("maps" if spread else "maps_unrefined")) <= MAPS
    if spread:
        _, exact = class_attention_maps(network.double(), case["image"], classes, settings).normalised()
        assert exact is not None
        assert largest_difference(exact, case.tensor("f64_maps")) <= EXACT_MAPS
