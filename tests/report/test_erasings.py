from dataclasses import replace

from wsss_core.report.erasings import draw_erasings
from wsss_core.report.make_report import make_report

from .run_tree import made_climb, made_run


def test_classifiers_stand_one_below_the_other(tmp_path):
    file = made_climb(tmp_path, ["b", "a"], steps=4)
    drawn = draw_erasings({"ordinary": file, "cgnet": file})
    assert [(one.image_id, one.classifier) for one in drawn] == [
        ("a", "ordinary"),
        ("a", "cgnet"),
        ("b", "ordinary"),
        ("b", "cgnet"),
    ]
    assert [round.probability for round in drawn[0].rounds] == [0, 50, 100, 150]
    assert all(round.image.startswith("data:image/webp") and round.map != round.image for round in drawn[0].rounds)


def test_the_page_shows_them(tmp_path):
    run = made_run(tmp_path)
    make_report(replace(run, erasings={"ordinary": made_climb(tmp_path, ["image_0"], steps=4)}), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert 'id="erasings"' in text and "erased 3 ×" in text and "by ordinary" in text
    make_report(run, tmp_path / "page.html")
    assert 'id="erasings"' not in (tmp_path / "page.html").read_text()
