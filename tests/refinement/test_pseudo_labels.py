import numpy as np
import pytest
from PIL import Image

from tests.refinement.tiny_data import CLASSES, SIZES, SMALL_CRF, FakeCams, true_labels, write_images
from wsss_core.config.background import BackgroundScore, PseudoLabelBackground, Threshold
from wsss_core.config.refinement import PseudoLabels
from wsss_core.config.sam_masks import SamMasks
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.errors import UserError
from wsss_core.files.cam_store import ImageCams
from wsss_core.jobs.run import Run
from wsss_core.refinement.pseudo_label_map import divided_by_largest, pseudo_label_map, pseudo_label_scores
from wsss_core.refinement.pseudo_labels import make_pseudo_labels

FIXED = PseudoLabels(background=PseudoLabelBackground(threshold=Threshold(fixed=0.3)))


class WalkedMaps:
    """Class maps of the tiny images, as a store gives them; lower than 1, as after a walk."""

    def __init__(self, background=None):
        self.background = background

    def check_classes(self, classes):
        """All classes will do."""

    def read(self, image_id):
        maps = FakeCams().read(image_id)
        walked = None if self.background is None else np.full(maps.cam.shape[1:], self.background, np.float32)
        return ImageCams(image_id, maps.classes, maps.cam / 5, None, maps.height, maps.width, walked)


def make(folder, index, maps, background, settings=FIXED, threads=1):
    manifest = folder / "labels" / "000-of-001.csv"
    make_pseudo_labels(settings, background, index, maps, manifest, run=Run(threads=threads))
    return {image_id: read_mask(path) for image_id, path in read_label_manifest([manifest]).items()}


def test_labels_follow_the_objects(tmp_path):
    index = write_images(tmp_path / "images")
    settings = PseudoLabels(background=FIXED.background, crf=SMALL_CRF)
    for threads in (1, 2):
        found = make(tmp_path / str(threads), index, WalkedMaps(), BackgroundScore(threshold=0.3), settings, threads)
        assert list(found) == list(SIZES)
        for image_id, labels in found.items():
            truth = true_labels(image_id)
            assert set(np.unique(labels)) <= set(np.unique(truth)), "only the image's own classes"
            assert (labels == truth).mean() > 0.95


def test_class_numbers_are_those_of_the_data_set(tmp_path):
    index = write_images(tmp_path / "images")
    labels = make(tmp_path, index, WalkedMaps(), BackgroundScore(threshold=0.3))["one"]
    assert set(np.unique(labels)) == {0, CLASSES.index("cat") + 1}


def test_a_background_that_walked_is_not_divided(tmp_path):
    index = write_images(tmp_path / "images")
    # The object's largest value is 0.2, its plateau 0.12, its surroundings 0.01.
    few, many = (make(tmp_path / str(b), index, WalkedMaps(b), None)["one"] for b in (0.15, 0.05))
    assert 0 < np.count_nonzero(few) < np.count_nonzero(many) < many.size / 2


def test_maps_without_a_background_are_reported(tmp_path):
    index = write_images(tmp_path / "images")
    with pytest.raises(UserError, match="image 'one' have no background from the walk"):
        make(tmp_path, index, WalkedMaps(), None)


def test_an_image_that_changed_is_reported(tmp_path):
    index = write_images(tmp_path / "images")
    index.table.loc[0, "image"] = index.table.loc[1, "image"]
    with pytest.raises(UserError, match=r"two\.png: the image is 32 x 32 pixels"):
        make(tmp_path, index, WalkedMaps(), BackgroundScore(threshold=0.3))


def test_unsure_pixels_get_no_label(tmp_path):
    path = write_images(tmp_path / "images").image_paths[0]
    maps = WalkedMaps().read("one")
    score = BackgroundScore(threshold=0.5)  # beside 1 at the peak, 0.6 on the object, 0.05 around it
    sure, unsure = (pseudo_label_map(path, maps, score, None, share) for share in (None, 0.6))
    scores = pseudo_label_scores(maps, score)
    share = scores.max(axis=0) / scores.sum(axis=0)
    assert np.array_equal(unsure == 255, share < 0.6) and 0 < (unsure == 255).mean() < 0.5
    assert np.array_equal(unsure[unsure != 255], sure[unsure != 255]) and not (sure == 255).any()
    after_crf = pseudo_label_map(path, maps, score, SMALL_CRF, 0.99)
    assert 0 < (after_crf == 255).mean() < 0.5


def test_scores_are_divided_by_the_largest_of_all_classes():
    cam = np.stack([np.full((3, 4), 0.2), np.full((3, 4), 0.1)]).astype(np.float32)
    maps = ImageCams("x", np.array([0, 2]), cam, None, 11, 14)
    scores = pseudo_label_scores(maps, BackgroundScore(alpha=2))
    assert scores.shape == (3, 11, 14) and scores.dtype == np.float32
    np.testing.assert_allclose(scores[:, 0, 0], [0, 1, 0.5], atol=1e-6)
    assert not divided_by_largest(np.zeros((1, 2, 2))).any()
    assert divided_by_largest(np.zeros((0, 2, 2))).shape == (0, 2, 2)


def test_a_background_score_is_worked_out_from_the_settings():
    assert FIXED.background.resolved(0.2, None) == BackgroundScore(threshold=0.3)
    chosen = PseudoLabelBackground(threshold=Threshold(best_on="train"))
    assert chosen.resolved(0.2, 0.41) == BackgroundScore(threshold=0.41)
    assert PseudoLabelBackground(times_seed_threshold=2).resolved(0.2, None) == BackgroundScore(threshold=0.4)
    assert PseudoLabelBackground(times_seed_threshold=0.65).resolved(0.41, None) == BackgroundScore(threshold=0.27)
    assert PseudoLabelBackground(times_seed_threshold=9).resolved(0.2, None) == BackgroundScore(threshold=0.99)
    assert PseudoLabelBackground(alpha=8).resolved(None, None) == BackgroundScore(alpha=8)
    assert PseudoLabelBackground(walked_alpha=8).resolved(None, None) is None


@pytest.mark.parametrize("averaging", [{"par": {"shrink": 1}}, {"pamr": {"shrink": 1, "dilations": [1, 2]}}], ids=str)
def test_averaged_labels_follow_the_objects(averaging, tmp_path):
    index = write_images(tmp_path / "images")
    settings = PseudoLabels(background=FIXED.background, **averaging)
    found = make(tmp_path / "labels", index, WalkedMaps(), BackgroundScore(threshold=0.3), settings, threads=2)
    for image_id, labels in found.items():
        assert (labels == true_labels(image_id)).mean() > 0.9


def test_labels_fill_the_segments_they_are_joined_with(tmp_path):
    index, segments = write_images(tmp_path / "images"), {}
    for image_id, (height, width) in SIZES.items():
        segments[image_id] = tmp_path / "masks" / image_id
        segments[image_id].mkdir(parents=True)
        wider = np.zeros((height, width), np.uint8)
        wider[2:20, 2:20] = 255  # the first object has rows and columns 4 to 17
        Image.fromarray(wider).save(segments[image_id] / "0.png")
    settings = PseudoLabels(background=FIXED.background, sam_masks=SamMasks(folder="masks"))
    for threads in (1, 2):
        manifest, run = tmp_path / str(threads) / "labels" / "000-of-001.csv", Run(threads=threads)
        make_pseudo_labels(
            settings, BackgroundScore(threshold=0.3), index, WalkedMaps(), manifest, run=run, segments=segments
        )
        labels = {image_id: read_mask(path) for image_id, path in read_label_manifest([manifest]).items()}
        cat = CLASSES.index("cat") + 1
        assert (labels["one"][2:20, 2:20] == cat).all() and np.count_nonzero(labels["one"]) == 18 * 18
        assert not labels["none"].any()
