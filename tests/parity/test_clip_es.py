"""CLIP-ES against the authors' code; tolerances of ``tests/golden/README.md``."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from scipy import ndimage
from timm.layers import get_act_layer
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tests.parity.cases import Case, authors_names, authors_weights, check_sums
from tests.parity.imported import largest_difference
from wsss_core.cams.clip_gradcam import clip_evidence, clip_gradcam_maps
from wsss_core.classifiers.clip import ClipObjective
from wsss_core.config.background import BackgroundScore
from wsss_core.config.cams import ClipGradcamCams
from wsss_core.config.crf import Crf
from wsss_core.config.spreading import AttentionSpreading
from wsss_core.config.timm_tokens import create_tokens
from wsss_core.config.trunk_description import read_trunk
from wsss_core.datasets.transforms import MEAN, STANDARD_DEVIATION
from wsss_core.files.cam_store import ImageCams
from wsss_core.importing import clip_names
from wsss_core.importing.pretrained import import_weights
from wsss_core.networks.clip import TextFeatureClassifier
from wsss_core.networks.token_trunk import recorded_attention
from wsss_core.networks.weights import read_description, ready_for_use
from wsss_core.refinement.attention import attention_affinity, box_masks, scaled, spread_by_attention, whole_patches
from wsss_core.refinement.crf import dense_crf, wrapped_colours
from wsss_core.refinement.pseudo_label_map import pseudo_label_map, pseudo_label_scores

pytestmark = pytest.mark.xdist_group("clip_es")

FEATURES, ATTENTION, PROBABILITIES, CAM, REFINED = 2e-3, 1e-4, 1e-5, 1e-4, 5e-6
EXACT, STEP, HALF = 1e-9, 1e-6, 1e-3
AGREEMENT = 0.995


def register_tower(options: dict) -> str:
    """Make timm know a tower of a case's sizes; its name."""
    sizes = [options[key] for key in ("width", "layers", "heads", "image_resolution", "patch")]
    name = "golden_clip_" + "_".join(map(str, sizes))

    def build(pretrained: bool = False, **given) -> VisionTransformer:
        del pretrained
        given.pop("pretrained_cfg", None), given.pop("pretrained_cfg_overlay", None), given.pop("cache_dir", None)
        return VisionTransformer(
            img_size=options["image_resolution"],
            patch_size=options["patch"],
            embed_dim=options["width"],
            depth=options["layers"],
            num_heads=options["heads"],
            pre_norm=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-5),
            act_layer=get_act_layer("quick_gelu"),
            **given,
        )

    build.__name__, build.__module__ = name, __name__
    if not timm.is_model(name):
        globals()[name] = build
        register_model(build)
    return name


def weights_of(options: dict) -> dict[str, Tensor]:
    width, given = options["width"], authors_names("clip_es")
    patches = (options["image_resolution"] // options["patch"]) ** 2
    old = given["visual.class_embedding"][0]
    names = {}
    for name, shape in given.items():
        layer, _, leaf = name.removeprefix("visual.transformer.resblocks.").partition(".")
        if name.startswith("visual.transformer.resblocks.") and layer == "0":
            for number in range(options["layers"]):
                names[f"visual.transformer.resblocks.{number}.{leaf}"] = [n // old * width for n in shape]
        elif not name.startswith("visual.transformer.resblocks."):
            names[name] = [width if n == old else n for n in shape]
    names["visual.positional_embedding"] = [patches + 1, width]
    names["visual.proj"] = [width, options["embed_dim"]]
    names["visual.conv1.weight"] = [width, 3, options["patch"], options["patch"]]
    return authors_weights("clip_es", names=names)


@pytest.fixture
def network(case: Case, tmp_path: Path, monkeypatch) -> TextFeatureClassifier:
    """The tower of a case's weights, imported, beside the case's texts; it sees the case's own pixels."""
    options = case.json("options_json")
    weights = weights_of(options)
    check_sums(weights, case)
    monkeypatch.setattr(clip_names, "MODELS", [register_tower(options)])
    save_file(weights, tmp_path / "clip.safetensors")
    import_weights("clip", tmp_path / "clip.safetensors", tmp_path / "tower.safetensors")
    trunk = read_trunk(read_description(tmp_path / "tower.safetensors")["trunk"])
    texts, background = case.tensor("fg_text"), case.tensor("bg_text")
    made = TextFeatureClassifier(trunk, [f"c{k}" for k in range(len(texts))], texts.shape[1], len(background))
    made.class_texts.copy_(texts)
    made.background_texts.copy_(background)
    ClipObjective.start_from(tmp_path / "tower.safetensors", made, whole=True)
    made.trunk.pixels = nn.Identity()
    return ready_for_use(made, "cpu")


def spreading_of(case: Case) -> AttentionSpreading:
    options = case.json("options_json")
    return AttentionSpreading(layers=options["attention_layers"], box_threshold=options["threshold"])


def test_towers_that_differ_only_in_their_heads():
    sizes = {"width": 32, "layers": 2, "image_resolution": 32, "patch": 16}
    towers = [create_tokens(register_tower({**sizes, "heads": heads})) for heads in (1, 2)]
    assert [tower.blocks[0].attn.num_heads for tower in towers] == [1, 2]


@pytest.mark.golden("clipes*.npz")
def test_what_the_tower_shows(case: Case, network):
    classes, pixels = case.json("options_json")["classes"], case.tensor("input")
    with torch.no_grad():
        before = network.before_the_last_block(pixels[None])
    assert largest_difference(before.tokens[0], case.tensor("features")) <= FEATURES
    with recorded_attention(list(network.trunk.body.blocks)) as whole:
        evidence = clip_evidence(network, pixels, classes)
    assert largest_difference(torch.cat(whole), case.tensor("attn")) <= ATTENTION
    inner = case.tensor("attn")[:, 1:, 1:]
    assert largest_difference(torch.stack(evidence.attention), inner) <= ATTENTION
    assert largest_difference(evidence.probabilities, case.tensor("probs")) <= PROBABILITIES
    assert largest_difference(evidence.activations, case.tensor("acts")) <= FEATURES
    for ours, theirs in ((evidence.gradients, "grads"), (evidence.gradcam, "cam_raw")):
        assert largest_difference(ours, case.tensor(theirs)) <= CAM * case.tensor(theirs).abs().max().item(), theirs
    maps, walk = scaled(scaled(evidence.gradcam.relu())), spreading_of(case)
    assert largest_difference(maps, case.tensor("cam")) <= CAM
    affinity = attention_affinity(evidence.attention[-walk.layers :], walk)
    assert largest_difference(spread_by_attention(maps, affinity, walk), case.tensor("refined")) <= REFINED


@pytest.mark.golden("clipes*.npz")
def test_the_same_in_float64(case: Case, network):
    evidence = clip_evidence(network.double(), case.tensor("input").double(), case.json("options_json")["classes"])
    assert largest_difference(evidence.probabilities, case.tensor("f64_probs")) <= EXACT
    gradients = case.tensor("f64_grads")
    assert largest_difference(evidence.gradients, gradients) <= EXACT * max(gradients.abs().max().item(), 1e-300)
    assert largest_difference(evidence.gradcam, case.tensor("f64_cam_raw")) <= EXACT


@pytest.mark.golden("clipes*.npz")
def test_each_step_from_the_authors_own_arrays(case: Case):
    walk, options = spreading_of(case), case.json("options_json")
    assert largest_difference(scaled(scaled(case.tensor("cam_raw").relu())), case.tensor("cam")) <= STEP
    attention = list(case.tensor("attn")[-walk.layers :, 1:, 1:])
    affinity = attention_affinity(attention, walk)
    assert largest_difference(affinity, case.tensor("trans")) <= STEP
    boxes = box_masks(case["cam"], walk.box_threshold)
    np.testing.assert_array_equal(boxes, case["box_mask"].astype(bool))
    check_boxes(case, boxes)
    refined = spread_by_attention(case.tensor("cam"), case.tensor("trans"), walk)
    assert largest_difference(refined, case.tensor("refined")) <= STEP
    np.testing.assert_array_equal(wrapped_colours(case["image"]), case["crf_image"])
    crf = Crf(**options["crf"], long_side=None, colours="wrapped")
    scores = pseudo_label_scores(maps_of(case), BackgroundScore(alpha=1), divided=False)
    probabilities = dense_crf(case["image"], scores, crf)
    order = [0, *np.argsort(case["keys"]) + 1]
    given, theirs = case["crf_prob"][order], case["crf_out"][order]
    assert np.abs(scores - given).max() <= HALF
    assert (probabilities.argmax(axis=0) == theirs.argmax(axis=0)).mean() >= AGREEMENT
    # The authors take the logarithm in float16; from there on the CRF is the same.
    rounded = np.exp(np.log(np.clip(given, np.float16(1e-5), np.float16(1))).astype(np.float64))
    assert np.abs(dense_crf(case["image"], rounded, crf) - theirs).max() <= PROBABILITIES


def check_boxes(case: Case, inside: np.ndarray) -> None:
    """Compare the authors' boxes with ours as drawn, and their number with that of regions and holes."""
    share = case.json("options_json")["threshold"]
    for own, given, count, values in zip(inside, case["boxes"], case["n_boxes"], case["cam"], strict=True):
        drawn = np.zeros_like(own)
        for left, top, right, bottom in given[:count]:
            drawn[top:bottom, left:right] = True
        np.testing.assert_array_equal(drawn, own)
        assert (given[count:] == -1).all()
        whole = (values * 255).astype(np.uint8)
        regions = whole > int(share * int(whole.max()))
        holes = ndimage.label(~np.pad(regions, 1))[1] - 1
        assert count == max(ndimage.label(regions, np.ones((3, 3)))[1] + holes, 1)  # one empty box without a region


def maps_of(case: Case) -> ImageCams:
    """The authors' maps; classes in ascending order, as maps are stored."""
    classes, high_res = case["keys"], case["attn_highres"].astype(np.float32)
    order = np.argsort(classes)
    height, width = case["image"].shape[:2]
    small = np.zeros((len(classes), -(-height // 4), -(-width // 4)), np.float32)
    return ImageCams("image", classes[order].astype(np.int16), small, high_res[order], height, width)


@pytest.mark.golden("clipes*.npz")
def test_maps_of_an_image(case: Case, network, monkeypatch):
    """From the image on; the golden pixels are of CLIP's mean and deviation."""
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in clip_statistics())
    own, theirs = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STANDARD_DEVIATION))
    network.trunk.pixels = Restored(own, theirs, mean, deviation)
    settings = ClipGradcamCams(classifier="any", spread=spreading_of(case))
    drawn = clip_gradcam_maps(network, case["image"], case.json("options_json")["classes"], settings)
    _, high_res = drawn.normalised()
    assert largest_difference(high_res, case.tensor("attn_highres")) <= HALF


class Restored(nn.Module):
    """From ImageNet's normalisation to CLIP's."""

    def __init__(self, *values: Tensor) -> None:
        super().__init__()
        self.values = values

    def forward(self, images: Tensor) -> Tensor:
        own, theirs, mean, deviation = self.values
        return (images * theirs + own - mean) / deviation


def clip_statistics() -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = timm.get_pretrained_cfg("vit_base_patch16_clip_quickgelu_224.openai")
    return found.mean, found.std


@pytest.mark.golden("clipes*.npz")
def test_pixels_of_an_image(case: Case):
    pixels = torch.tensor(whole_patches(case["image"], case.json("options_json")["patch"])).permute(2, 0, 1) / 255
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in clip_statistics())
    assert largest_difference((pixels - mean) / deviation, case.tensor("input")) <= STEP


@pytest.mark.golden("clipes*.npz")
def test_labels_of_the_authors_maps(case: Case, tmp_path):
    from PIL import Image

    options = case.json("options_json")
    Image.fromarray(case["image"]).save(tmp_path / "image.png")
    crf = Crf(**options["crf"], long_side=None, colours="wrapped")
    found = pseudo_label_map(
        tmp_path / "image.png", maps_of(case), BackgroundScore(alpha=1), crf, options["confidence"], divided=False
    )
    assert (found == case["label"]).mean() >= AGREEMENT
