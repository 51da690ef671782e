from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas
import pytest

from wsss_core.evaluation.confusion import scores_of
from wsss_core.plan.background_in_words import BEST_ON_TRAIN
from wsss_core.report.examples import draw_examples
from wsss_core.report.gallery_choice import ImageScore, image_scores
from wsss_core.report.make_report import make_report
from wsss_core.report.opening import Measured, make_opening
from wsss_core.report.other_images import DRAWS, _miou, lead_on_other_images
from wsss_core.report.pictured import OpenPictures
from wsss_core.report.score_table import score_table
from wsss_core.report.seed_spread import ALONE, seed_spreads

from .run_tree import made_run
from .test_make_report import written


def with_miou(run, name, figure, miou):
    """Another file with this score in place of the experiment's own."""
    file = Path(run.experiments[name]["scores"][figure])
    other = file.with_name(f"{miou}.csv")
    pandas.read_csv(file).assign(miou=miou).to_csv(other, index=False)
    return str(other)


def rescored(run, figure="val", **miou):
    for name, value in miou.items():
        run.experiments[name]["scores"][figure] = with_miou(run, name, figure, value)


def repeated(run, name, *values):
    """What is said of an experiment that ran with further seeds, which DeepLab alone depends on."""
    own = run.experiments[name]
    scores = [{**own["scores"], "val": with_miou(run, name, "val", value)} for value in values]
    return {**ALONE, "repeats": [{**own, "scores": files} for files in scores]}


def opened(run, images=None, compared=None):
    table, compared = score_table(run.experiments), compared or {}
    spreads = seed_spreads(run.experiments, compared)
    return make_opening(Measured(table, spreads, compared, images or {}, run.stages))


def test_the_furthest_figure_decides(tmp_path):
    run = made_run(tmp_path, experiments=("one", "two"))
    rescored(run, one=0.4, two=0.6)
    rescored(run, "pseudo_labels", one=0.7)
    said = opened(run)
    assert (said.figure, said.best.name, said.best.value) == ("val", "two", pytest.approx(60))
    assert [(heading, best.name) for heading, best in said.earlier] == [("seed", "one"), ("pseudo labels", "one")]
    for described in run.experiments.values():
        del described["scores"]["val"]
    said = opened(run)
    assert (said.figure, said.best.name) == ("pseudo_labels", "one") and len(said.earlier) == 1


def test_it_is_compared_with_the_plain_cam_of_the_same_chain_and_with_the_next_best(tmp_path):
    run = made_run(tmp_path, experiments=("best", "next", "plain", "plain_further", "full", "full_other"))
    rescored(run, best=0.7, next=0.68, plain=0.6, plain_further=0.65, full=0.8, full_other=0.9)
    for name in ("full", "full_other"):
        run.experiments[name]["labels"] = "masks"
    chains = {"plain_further": ["affinitynet", "deeplab"], "full": [None, "deeplab"], "full_other": [None, "pspnet"]}
    compared = {
        name: {
            **ALONE,
            "plain_cam": name.startswith("plain"),
            "chain": chains.get(name, ["irn", "deeplab"]),
            "trunk": "small" if name == "plain" else "vgg",
        }
        for name in run.experiments
    }
    said = opened(run, compared=compared)
    assert [(rival.experiment.name, rival.plain_cam) for rival in said.rivals] == [("plain", True), ("next", False)]
    assert [rival.lead for rival in said.rivals] == [pytest.approx(10), pytest.approx(2)]
    assert said.bound.name == "full" and said.trunks == ("vgg", "small") and not said.plain_cam
    compared["plain"]["chain"] = [None, None]
    assert opened(run, compared=compared).rivals[0].experiment.name == "plain_further"


def test_masks_and_oracles_are_never_the_best(tmp_path):
    run = made_run(tmp_path, experiments=("weak", "oracle", "full"))
    rescored(run, weak=0.5, oracle=0.6, full=0.7)
    run.experiments["oracle"]["seed_threshold"]["source"] = BEST_ON_TRAIN
    run.experiments["full"]["labels"] = "masks"
    said = opened(run)
    assert said.best.name == "weak" and not said.rivals and said.bound.name == "full"
    run.experiments["weak"]["labels"] = "masks of some"
    assert opened(run) is None


def test_a_spread_is_over_seeds_that_differ_in_the_figure(tmp_path):
    run = made_run(tmp_path, experiments=("one",))
    spreads = seed_spreads(run.experiments, {"one": repeated(run, "one", 0.4, 0.6)})
    assert list(spreads) == [("one", "val")]  # all seeds have the same class maps
    assert spreads["one", "val"].mean == pytest.approx(50) and spreads["one", "val"].deviation == pytest.approx(10)
    same = {"one": {**ALONE, "repeats": [run.experiments["one"]]}}
    assert seed_spreads(run.experiments, same) == {}


@pytest.mark.parametrize(("others", "apart"), [((0.52, 0.53), True), ((0.52, 0.7), False)])
def test_the_mean_over_seeds_decides_and_seeds_may_overlap(tmp_path, others, apart):
    run = made_run(tmp_path, experiments=("steady", "lucky"))
    rescored(run, steady=0.64, lucky=0.51)
    compared = {"steady": repeated(run, "steady", 0.66, 0.65), "lucky": repeated(run, "lucky", *others)}
    said = opened(run, compared=compared)
    assert said.best.name == "steady" and said.best.value == pytest.approx(65)
    assert said.rivals[0].seeds_apart is apart


def test_an_experiment_is_no_rival_of_its_own_seeds(tmp_path):
    run = made_run(tmp_path, experiments=("one", "again", "other"))
    rescored(run, one=0.6, again=0.7, other=0.5)
    compared = {
        name: {**ALONE, "same": [same], "repeats": [run.experiments[same]]}
        for name, same in (("one", "again"), ("again", "one"))
    }
    said = opened(run, compared=compared)
    assert said.best.name == "one" and said.best.same == ["again"]
    assert [rival.experiment.name for rival in said.rivals] == ["other"]


def random_counts(images, better, classes=3):
    """Pixel counts of images of 100 pixels, each with background and one class; ``better`` of them right."""
    rng = np.random.default_rng(5)
    counts = np.zeros((images, 3, classes + 1), np.int64)
    for k in range(images):
        for value in (0, 1 + k % classes):
            counts[k, :, value] = [better - rng.integers(20), 50, 50]
    return counts


def test_a_lead_on_other_images_is_of_the_same_draws():
    one, other = random_counts(60, 45), random_counts(60, 35)
    lead = lead_on_other_images(one, other)
    assert lead.images == 60 and lead.ahead == 100 and 0 < lead.low < lead.high
    assert lead == lead_on_other_images(one, other)
    assert lead_on_other_images(other, one).ahead == 0
    same = lead_on_other_images(one, one)
    assert (same.ahead, same.low, same.high) == (0, 0, 0)
    assert lead_on_other_images(one[:19], other[:19]) is None and DRAWS >= 1000


def test_the_miou_of_a_draw_is_that_of_its_images(tmp_path):
    matrices = np.random.default_rng(1).integers(0, 50, size=(4, 3, 4))
    matrices[:, 2] = 0  # a class that no mask shows
    counts = [np.stack([m.diagonal(), m.sum(1), m[:, :3].sum(0)]) for m in matrices]
    times = np.array([[1.0, 1, 1, 1], [3, 0, 1, 0]])
    expected = [scores_of(matrices.sum(0)).miou, scores_of(3 * matrices[0] + matrices[2]).miou]
    assert _miou(times, counts) == pytest.approx(expected)


def test_only_scored_images_are_drawn(tmp_path):
    run = made_run(tmp_path, experiments=("one", "two"))
    rescored(run, one=0.6, two=0.5)
    counts = zip(random_counts(40, 45), random_counts(40, 35), strict=True)
    images = {f"i{k}": ImageScore(k, {}, None, {"one": one, "two": two}) for k, (one, two) in enumerate(counts)}
    said = opened(run, {"val": images, "train": {}})
    assert said.rivals[0].on_other_images.images == 40 == said.scored_images
    table = Path(run.stages["one"]["predictions"], "labels.images.csv")
    table.write_text("image_id,miou\n" + "".join(f"i{k},0.5\n" for k in range(10, 90)))
    said = opened(run, {"val": images})
    assert said.rivals[0].on_other_images.images == 30 and said.scored_images == 80


def test_the_three_images_are_the_best_a_middling_and_the_worst(tmp_path):
    run = made_run(tmp_path, images=7, experiments=("cam",))
    with ExitStack() as stack:
        pictures = OpenPictures(run.pictured, stack)
        train = pictures.splits()[0]
        scores = {train.image_ids[score.position]: score for score in image_scores(pictures, train, 80)}
    examples = draw_examples(run.pictured, {"train": scores}, "cam", "train")
    assert [example.place for example in examples] == ["the best", "in the middle", "the worst"]
    iou = [example.iou for example in examples]
    assert iou == [f(score.iou["cam"] for score in scores.values()) for f in (max, lambda v: sorted(v)[2], min)]
    assert [[cell.heading for cell in example.cells] for example in examples] == [["pseudo label", "mask"]] * 3


def test_without_masks_images_are_shown_as_they_come(tmp_path):
    run = made_run(tmp_path, masks=False, images=9)
    _, page = written(run, tmp_path)
    assert "Images, as cam labels them image_7 image prediction" in page.text
    assert "the worst" not in page.text and "What does it cost?" not in page.text


def test_the_page_says_which_method_how_sure_and_at_what_cost(tmp_path):
    run = made_run(tmp_path, images=24)
    for described in run.experiments.values():
        del described["scores"]["val"]
    rescored(run, "pseudo_labels", **{"cam": 0.5, "adv & cam": 0.6})
    run.compared.update({"cam": {**ALONE, "plain_cam": True}})
    text, page = written(run, tmp_path)
    opening = page.text[page.text.index("In short") : page.text.index("The time is that")]
    assert "adv & cam makes the best pseudo labels of the training images: 60.0 % mIoU (pseudo labels)" in opening
    assert "That is 10.0 points more than the plain CAM, the next best (cam, 50.0 %)." in opening
    assert "the 22 scored images are drawn again at random, 1000 times" in opening
    assert "Other random seeds: unknown, as adv & cam ran with one." in opening
    assert "adv & cam: 19.0 s for all its jobs, one after the other, 7.5 s of it on a GPU, and 512 MiB" in opening
    assert "Three images, as adv & cam labels them: its best, a middling one and its worst" in opening
    assert opening.count("pseudo label cat") + opening.count("pseudo label <dog>") == 3
    assert text == written(run, tmp_path)[0]


def test_several_seeds_show_their_spread_in_text_and_table(tmp_path):
    run = made_run(tmp_path, experiments=("steady", "lucky"))
    rescored(run, steady=0.64, lucky=0.63)
    run.compared.update(steady=repeated(run, "steady", 0.66, 0.65), lucky=repeated(run, "lucky", 0.5))
    text, page = written(run, tmp_path)
    assert "65.0 % mIoU (DeepLab, val), the mean of 3 random seeds" in page.text
    assert "steady 65.0 ± 1.0 over 3 random seeds, lucky 56.5 ± 9.2 over 2 random seeds (mean ±" in page.text
    assert "Every run of steady is above every run of lucky." in page.text
    assert text.count('class="spread"') == 2 and "56.5 ± 9.2, 2 random seeds" in page.text
    assert 'class="best"><a href="#c-0-val"' in text and 'class="best"><a href="#c-1-val"' not in text


def test_a_run_on_masks_only_names_no_best_method(tmp_path):
    run = made_run(tmp_path, experiments=("full",))
    run.experiments["full"]["labels"] = "masks"
    _, page = written(run, tmp_path)
    assert "no method is called the best" in page.text and "Images, as full labels them" in page.text


def test_pictures_of_the_opening_do_not_need_the_gallery_on_the_page(tmp_path, monkeypatch):
    run = made_run(tmp_path)
    monkeypatch.setattr("wsss_core.report.gallery.pages_of", lambda cards: [cards[:2], cards[2:]])
    make_report(run, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.count('class="example"') == 2 and 'class="card"' not in text
