import re
from html.parser import HTMLParser
from pathlib import Path

import pandas
import pytest

import wsss_core.report.make_report as make_report_module
from wsss_core.plan.background_in_words import BEST_ON_TRAIN
from wsss_core.report.make_report import make_report

from .run_tree import judged, made_run

VOID = {"meta", "link", "input", "img", "br"}


class Page(HTMLParser):
    """Elements of a page; complains of those that are not closed, and keeps ids and what the page would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.loaded, self.targets, self.words = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.loaded += [attributes[key] for key in ("src", "srcset", "data") if key in attributes]
        if tag == "link":
            self.loaded.append(attributes["href"])
        if tag == "a":
            self.targets.append(attributes["href"])

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}, line {self.getpos()[0]}"
        self.open.pop()

    def handle_data(self, text):
        if not {"script", "style"} & set(self.open):
            self.words.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def written(run, tmp_path):
    make_report(run, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    return text, Page(text)


def test_the_page_is_whole_and_needs_nothing_else(tmp_path):
    text, page = written(made_run(tmp_path), tmp_path)
    assert all(address.startswith("data:") for address in page.loaded)
    assert not re.search(r"https?://|@import|url\((?!data:)", text)
    assert len(set(page.ids)) == len(page.ids)
    assert {target[1:] for target in page.targets if target.startswith("#")} <= set(page.ids)
    for part in ("scores", "thresholds", "classes", "gallery", "trainings", "costs", "graph", "settings"):
        assert part in page.ids


def test_names_are_text_and_never_markup(tmp_path):
    text, page = written(made_run(tmp_path), tmp_path)
    assert "pets <script>" in page.text and "pets <script>" not in text
    assert "adv & cam" in page.text and "<dog> & co" in page.text and "cams.<b>" in page.text
    assert "<dog>" not in text and "<b>" not in text and "A & B, 2021" in page.text


def test_it_says_what_was_scored_and_under_which_conditions(tmp_path):
    text, page = written(made_run(tmp_path), tmp_path)
    assert "[55.6]" in page.text and "0.40 (fixed)" in page.text and "45.0" in page.text
    assert 'title="split: train; background begins at: 0.40 (fixed)' in text
    assert text.count('aria-label="mIoU of the seed over the threshold"') == 1
    assert "train_classifier" in page.text and "7.5 s" in page.text


def test_an_oracle_and_full_supervision_win_nothing(tmp_path):
    run = made_run(tmp_path, experiments=("weak", "worse", "oracle", "full"))
    for name, miou in (("weak", 0.6), ("worse", 0.5), ("oracle", 0.7), ("full", 0.8)):
        file = run.experiments[name]["scores"]["val"]
        pandas.read_csv(file).assign(miou=miou).to_csv(file, index=False)
    run.experiments["full"]["labels"] = "masks"
    run.experiments["oracle"]["seed_threshold"]["source"] = BEST_ON_TRAIN
    text, page = written(run, tmp_path)
    assert "weak makes the best label maps of the validation images: 60.0 % mIoU (DeepLab, val). That" in page.text
    assert "10.0 points more than the next best (worse, 50.0 %). The upper bound" in page.text
    assert "is 80.0 % (full): weak reaches 75 % of it" in page.text
    assert "oracle †" in page.text and text.count('class="best"') == 1 + 2 * 2


def test_without_masks_it_has_all_but_scores(tmp_path):
    _, page = written(made_run(tmp_path, masks=False), tmp_path)
    assert "no masks" in page.text and "thresholds" not in page.ids and "classes" not in page.ids
    assert "gallery-class" in page.ids and "best IoU first" not in page.text and "IoU of" not in page.text
    assert "image and mask" not in page.text and "IoU 5" not in page.text


def test_how_good_the_classifiers_are_stands_on_the_page_and_next_to_their_curve(tmp_path):
    text, page = written(made_run(tmp_path), tmp_path)
    assert "classifiers" in page.ids and 'class="warning"' not in text
    assert "ordinary 81.2 40.0 60.0 70.0 55.0 the classifier has learned enough" in page.text
    assert "cat 1 81.2 60.0 <dog> & co 0 – –" in page.text
    assert "images per second; on the validation images mAP 81.2 % (chance 40.0 %), F1 60.0 %" in page.text


def test_a_classifier_that_learned_nothing_is_the_first_thing_on_the_page(tmp_path):
    run = made_run(tmp_path)
    judged(tmp_path / "classifier/ordinary-1111111111", "nothing")
    _, page = written(run, tmp_path)
    reported = "Warning : classifier ordinary: the classifier has learned nothing: mAP 81.2 %."
    assert reported in page.text and page.text.index(reported) < page.text.index("IoU")
    assert "What to do: (1) look at <labels>." in page.text


def test_one_experiment_is_enough(tmp_path):
    _, page = written(made_run(tmp_path, experiments=("cam",)), tmp_path)
    said = "cam is the only method with label maps of the validation images: 50.0 % mIoU"
    assert "★ marks" in page.text and said in page.text


def test_a_run_without_scores_maps_or_measurements_has_a_page(tmp_path):
    run = made_run(tmp_path, masks=False, experiments=("cam",))
    run.pictured.maps["cam"].clear()
    for file in [*tmp_path.glob("benchmarks/*/*"), *tmp_path.glob("classifier/*/training.csv")]:
        file.unlink()
    _, page = written(run, tmp_path)
    assert "Nothing was trained" in page.text and "no measurements" in page.text


def test_a_large_gallery_is_paged_and_old_pages_go(tmp_path, monkeypatch):
    run = made_run(tmp_path)
    (tmp_path / "gallery-9.html").write_text("of an earlier run")
    monkeypatch.setattr(make_report_module, "draw_gallery", paged(make_report_module.draw_gallery))
    text, page = written(run, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("gallery-*")) == ["gallery-1.html", "gallery-2.html"]
    assert {"gallery-1.html", "gallery-2.html"} <= set(page.targets) and 'class="card"' not in text
    pages = [Page((tmp_path / f"gallery-{number}.html").read_text()) for number in (1, 2)]
    assert "image_0" in pages[0].text and "image_5" in pages[1].text
    assert all("report.html" in page.targets for page in pages)
    monkeypatch.undo()
    written(run, tmp_path)
    assert not list(tmp_path.glob("gallery-*"))


def paged(draw):
    def drawn(pictured):
        gallery = draw(pictured)
        cards = gallery.pages[0]
        return type(gallery)([cards[:4], cards[4:]], gallery.experiments, gallery.classes, gallery.images)

    return drawn


@pytest.mark.parametrize("experiments", [("cam",), ("cam", "adv & cam")])
def test_equal_runs_give_equal_bytes(tmp_path, experiments):
    run = made_run(tmp_path, experiments=experiments)
    assert written(run, tmp_path)[0] == written(run, tmp_path)[0]


def test_tables_of_single_images_are_linked(tmp_path):
    run = made_run(tmp_path)
    experiment, directories = next((name, found) for name, found in run.stages.items() if "cams" in found)
    _, page = written(run, tmp_path)
    assert not any(target.endswith("images.csv") for target in page.targets)
    table = Path(directories["cams"], "images.csv")
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("image_id,miou\n")
    _, page = written(run, tmp_path)
    (target,) = [target for target in page.targets if target.endswith("images.csv")]
    assert (tmp_path / target).samefile(table)
    assert f"{experiment}: seed" in page.text
