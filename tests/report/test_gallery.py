import base64
import io
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from wsss_core.files.cam_store import ImageCams
from wsss_core.report.gallery import draw_gallery, label_map_in_words, pages_of
from wsss_core.report.gallery_choice import ImageScore, choose_images, disagreement_of, evenly, image_scores
from wsss_core.report.pictured import OpenPictures, seed_labels
from wsss_core.report.thumbnails import heat_thumbnail, image_thumbnail, label_thumbnail, thumbnail_size

from .run_tree import block, made_run


def decoded(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def score(position, iou, disagreement=None):
    return ImageScore(position, {"cam": iou}, disagreement)


def test_images_are_evenly_spread():
    assert evenly(10, 5) == [0, 2, 4, 6, 8] and evenly(3, 5) == [0, 1, 2] and evenly(0, 5) == []


def test_the_worst_the_best_and_the_most_disputed_are_chosen():
    scores = [score(k, k / 100, 1.0 if k == 50 else 0.0) for k in range(100)]
    chosen = [item.position for item in choose_images(scores, most=5)]
    assert chosen == sorted(chosen) and len(chosen) == 5 and {0, 50, 99} <= set(chosen)
    assert len(choose_images(scores[:3], most=5)) == 3
    assert choose_images([], most=5) == []


def test_disagreement_is_the_share_of_pixels_that_differ():
    assert disagreement_of([block(1, 12)]) is None
    assert disagreement_of([block(1, 12), block(1, 6)]) == pytest.approx(0.25)
    assert disagreement_of([block(1, 12), block(1, 12), block(2, 12)]) == pytest.approx(1 / 3)


def test_images_are_scored_by_their_last_label_map(tmp_path):
    run = made_run(tmp_path)
    with ExitStack() as opened:
        pictures = OpenPictures(run.pictured, opened)
        train, val = pictures.splits()
        first = image_scores(pictures, train, 80)[0]
        # 4 of the mask's 8 rows, and 16 of 20 background rows.
        assert first.iou["cam"] == pytest.approx((4 / 8 + 16 / 20) / 2)
        assert first.disagreement == pytest.approx(1 / 24)
        assert image_scores(pictures, val, 80)[0].iou["cam"] == pytest.approx((8 / 12 + 12 / 16) / 2)


def test_a_card_has_what_every_method_made_of_the_image(tmp_path):
    (cards,) = draw_gallery(made_run(tmp_path).pictured).pages
    train, val = cards[0], cards[-1]
    assert [method.names for method in train.methods] == [["cam"], ["adv & cam"]]
    assert [cell.heading for cell in train.methods[0].cells] == ["class map", "pseudo label"]
    assert train.methods[0].cells[1].words == "cat 17 %" and train.mask.words == "cat 33 %"
    assert [[cell.heading for cell in method.cells] for method in val.methods] == [["prediction"], ["prediction"]]


def test_experiments_that_share_their_files_are_reported_together(tmp_path):
    run = made_run(tmp_path)
    run.pictured.maps["again"] = run.pictured.maps["cam"]
    (cards,) = draw_gallery(run.pictured).pages
    assert [list(method.names) for method in cards[0].methods] == [["cam", "again"], ["adv & cam"]]
    assert cards[0].methods[0].experiments == [0, 2]
    assert cards[0].disagreement == pytest.approx(1 / 24)  # the shared label map counts once


def test_of_an_experiment_that_ends_at_its_class_maps_the_seed_counts(tmp_path):
    run = made_run(tmp_path)
    for name in run.pictured.maps:
        run.pictured.maps[name] = {"cams": run.pictured.maps[name]["cams"]}
    (cards,) = draw_gallery(run.pictured).pages
    method = cards[0].methods[0]
    assert method.names == ["cam"] and [cell.heading for cell in method.cells] == ["class map", "seed"]
    # The maps rise from above to below, and are above 0.4 in the lower 15 rows: not where the mask is.
    assert method.cells[1].words == "cat 60 %" and 0 < method.iou < 0.1
    assert cards[-1].methods == [] and cards[-1].mean_iou is None


def test_a_seed_is_the_strongest_class_above_the_threshold():
    maps = np.array([[[0.2, 0.5], [0.9, 0.4]], [[0.1, 0.6], [0.3, 0.4]]], np.float32)
    cams = ImageCams("a", np.array([1, 4], np.int16), maps, maps, 2, 2)
    assert seed_labels(cams, 0.4, 20).tolist() == [[0, 5], [2, 0]]
    assert seed_labels(cams, 0.4, 300).dtype == np.uint16
    empty = ImageCams("a", np.array([], np.int16), maps[:0], maps[:0], 2, 2)
    assert seed_labels(empty, 0.4, 20).tolist() == [[0, 0], [0, 0]]


def test_without_masks_there_is_no_iou(tmp_path):
    gallery = draw_gallery(made_run(tmp_path, masks=False).pictured)
    assert not gallery.scored and all(card.mask is None for card in gallery.pages[0])
    assert gallery.pages[0][0].disagreement is not None


def test_pages_hold_so_many_images_and_so_many_characters(tmp_path):
    (cards,) = draw_gallery(made_run(tmp_path).pictured).pages
    assert [len(page) for page in pages_of(cards, most=4)] == [4, 2]
    assert [len(page) for page in pages_of(cards, size=1)] == [1] * 6
    assert list(pages_of([])) == []


def test_a_label_map_is_reported_in_words():
    assert label_map_in_words(block(0, 0), ["cat"]) == "only background"
    labels = block(1, 6)
    labels[20:] = 255
    assert label_map_in_words(labels, ["cat"]) == "cat 25 %, ignored 17 %"
    assert label_map_in_words(block(7, 12).astype(np.uint16), ["cat"]) == "unknown class 7 50 %"


def test_thumbnails_are_small_pictures():
    assert thumbnail_size((500, 250)) == (72, 144) and thumbnail_size((20, 10)) == (10, 20)
    picture = decoded(image_thumbnail(np.zeros((300, 600, 3), np.uint8)))
    assert (picture.format, picture.size) == ("WEBP", (144, 72))
    heat = np.asarray(decoded(heat_thumbnail(np.array([[0.0, 1.0]]).repeat(8, 0).repeat(8, 1), (16, 8))).convert("RGB"))
    assert heat[4, 1, 2] > heat[4, 1, 0] and heat[4, -2, 0] > 120
    labels = decoded(label_thumbnail(block(1, 12), (12, 12))).convert("RGBA")
    assert labels.getpixel((3, 2)) == (128, 0, 0, 255) and labels.getpixel((3, 9))[3] == 0
