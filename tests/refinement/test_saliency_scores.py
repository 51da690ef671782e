import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.oracles.plain_saliency import plain_label, plain_scores
from tests.refinement.test_pseudo_labels import WalkedMaps
from tests.refinement.tiny_data import CLASSES, SIZES, true_labels, write_images
from wsss_core.config.background import BackgroundScore, Saliency
from wsss_core.config.refinement import PseudoLabels
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.errors import UserError
from wsss_core.files.cam_store import ImageCams
from wsss_core.jobs.run import Run
from wsss_core.refinement.pseudo_label_map import pseudo_label_map, pseudo_label_scores
from wsss_core.refinement.pseudo_labels import make_pseudo_labels
from wsss_core.refinement.saliency_scores import read_fitting_saliency, saliency_scores


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.8, 1.0]), min_size=6, max_size=6),
    st.lists(st.lists(st.sampled_from([0.0, 0.05, 0.4, 0.9, 1.0]), min_size=6, max_size=6), max_size=3),
    st.sampled_from([0.01, 0.5, 1.0, 3.0, 100.0]),
)
def test_scores_are_those_of_the_plain_formula(saliency, attention, weight):
    maps = np.array(attention, np.float32).reshape(len(attention), 2, 3)
    found = saliency_scores(maps, np.array(saliency, np.float32).reshape(2, 3), weight)
    expected = [plain_scores(saliency[at], [values[at] for values in attention], weight) for at in range(6)]
    np.testing.assert_allclose(found.reshape(len(attention) + 1, 6).T, expected, atol=1e-6)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1 + 1e-6


def test_a_pixel_is_an_object_where_saliency_and_attention_both_say_so():
    assert plain_label(0.9, [0.9], 1) == 1 and plain_label(0.9, [0.0], 1) == 0 and plain_label(0.1, [0.9], 1) == 0
    # Weak attention is enough where the saliency is sure, and less so if the attention weighs more.
    assert plain_label(0.8, [0.15], 1) == 1 and plain_label(0.8, [0.15], 100) == 0
    assert plain_label(1.0, [0.6, 0.7], 1) == 2


SETTINGS = PseudoLabels(background={"saliency": {}})


def write_saliency(folder, image_id, share=1.0):
    folder.mkdir(exist_ok=True)
    path = folder / f"{image_id}.png"
    Image.fromarray(np.where(true_labels(image_id) > 0, round(255 * share), 20).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("threads", [1, 2])
def test_labels_follow_the_saliency_and_take_classes_from_the_maps(tmp_path, threads):
    index = write_images(tmp_path / "images")
    saliency = {image_id: write_saliency(tmp_path / "saliency", image_id) for image_id in SIZES}
    manifest = tmp_path / "labels/000-of-001.csv"
    background = SETTINGS.background.resolved(None, None)
    assert background == Saliency(attention_weight=1)
    run = Run(threads=threads)
    make_pseudo_labels(SETTINGS, background, index, WalkedMaps(), manifest, run, saliency=saliency)
    for image_id, path in read_label_manifest([manifest]).items():
        labels, truth = read_mask(path), true_labels(image_id)
        assert set(np.unique(labels)) <= set(np.unique(truth))
        # The object is 14 pixels wide, of which the maps' plateau has 16.
        assert (labels == truth).mean() > 0.98


def test_what_the_maps_alone_would_label_otherwise(tmp_path):
    path = write_images(tmp_path / "images").image_paths[0]
    maps = WalkedMaps().read("one")
    saliency = write_saliency(tmp_path, "one")
    alone = pseudo_label_map(path, maps, BackgroundScore(threshold=0.3), None)
    joined = pseudo_label_map(path, maps, Saliency(), None, saliency_map=saliency)
    truth = true_labels("one")
    assert (joined == truth).mean() > (alone == truth).mean()
    assert set(np.unique(joined)) == {0, CLASSES.index("cat") + 1}


def test_images_without_a_class_are_background_and_need_no_saliency(tmp_path):
    path = write_images(tmp_path / "images").image_paths[2]
    assert not pseudo_label_map(path, WalkedMaps().read("none"), Saliency(), None).any()


def test_maps_are_divided_by_the_largest_of_all_classes_first():
    cam = np.stack([np.full((3, 4), 0.2), np.full((3, 4), 0.1)]).astype(np.float32)
    maps = ImageCams("x", np.array([0, 2]), cam, None, 11, 14)
    scores = pseudo_label_scores(maps, Saliency(attention_weight=2), np.full((11, 14), 0.5, np.float32))
    np.testing.assert_allclose(scores[:, 0, 0], plain_scores(0.5, [1, 0.5], 2), atol=1e-6)
    with pytest.raises(ValueError, match="image 'x' needs its saliency map"):
        pseudo_label_scores(maps, Saliency())


def test_a_map_of_another_size_or_none_is_reported(tmp_path):
    index = write_images(tmp_path / "images")
    path = write_saliency(tmp_path / "saliency", "two")
    with pytest.raises(UserError, match=r"two\.png: the saliency map is 32 x 32 pixels, its image 40 x 48; it has"):
        read_fitting_saliency(path, 40, 48)
    with pytest.raises(UserError, match="image 'one' has no saliency map; check the saliency maps again"):
        make_pseudo_labels(SETTINGS, Saliency(), index, WalkedMaps(), tmp_path / "labels/0.csv", saliency={})
