"""The page in a real browser: Chromium without a window does what a person does, and says what it sees.

A script is added to a copy of the page; it works the controls and leaves what it found in the document.
"""

import html
import json
import re
import shutil
import subprocess

import pytest

from wsss_core.report.make_report import make_report

from .run_tree import made_run

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")

WATCH = """<script>
window.faults = [];
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("securitypolicyviolation", (event) => faults.push("blocked " + event.blockedURI));
for (const kind of ["error", "warn"]) { console[kind] = (...words) => faults.push(words.join(" ")); }
</script>"""
WORK = """<script>
addEventListener("load", () => {
  const found = {}, field = (name) => document.getElementById("gallery-" + name);
  const set = (name, value) => { field(name).value = value; field(name).dispatchEvent(new Event("change")); };
  const words = (element, heading) => element.querySelector(heading).firstChild.data.trim();
  const cards = () => [...document.querySelectorAll(".card:not([hidden])")].map((card) => words(card, "h3"));
  const press = (key) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  const focused = () => words(document.activeElement, "h3");
  found.all = cards();
  set("sort", "worst"); found.worst = cards();
  set("sort", "best"); found.best = cards();
  set("sort", "disagreement"); found.disagreement = cards();
  set("sort", "chosen");
  set("class", "1"); found.of_class = cards(); found.count = field("count").textContent;
  set("split", "val"); found.of_class_and_split = cards();
  set("class", ""); set("split", "");
  set("method", "1"); field("only").click();
  const methods = document.querySelectorAll(".card .method[data-methods]:not([hidden])");
  found.methods = [...methods].map((method) => words(method, "h4"));
  document.querySelector(".card[tabindex='0']").focus(); found.first = focused();
  press("ArrowRight"); found.second = focused();
  press("k"); found.back = focused();
  found.covered = document.activeElement.getBoundingClientRect().top <
    document.querySelector(".controls").getBoundingClientRect().bottom;
  press("+"); found.opacity = field("opacity").value;
  found.layer = getComputedStyle(document.querySelector(".cards .layers img")).opacity;
  field("opacity").value = 0; field("opacity").dispatchEvent(new Event("input"));
  found.clear = getComputedStyle(document.querySelector(".cards .layers img")).opacity;
  const climb = document.querySelector(".climb"), slider = climb && climb.querySelector(".step");
  if (climb) {
    const strip = getComputedStyle(climb.querySelector(".strip"));
    const seen = () => [climb.querySelector(".status").textContent, strip.backgroundPositionX];
    found.climb_first = seen();
    slider.value = 2; slider.dispatchEvent(new Event("input")); found.climb_third = seen();
    climb.querySelector(".play").click(); found.playing = climb.querySelector(".play").textContent;
    climb.querySelector(".play").click(); found.stopped = climb.querySelector(".play").textContent;
  }
  const graph = document.getElementById("graph-experiment");
  if (graph) { graph.value = "0"; graph.dispatchEvent(new Event("change")); }
  found.off = document.querySelectorAll(".graph g.off").length;
  found.wide = document.documentElement.scrollWidth <= innerWidth;
  found.pictures = [...document.images].every((image) => image.complete && image.naturalWidth > 0);
  const trainings = document.getElementById("trainings");
  if (trainings) {
    trainings.scrollIntoView();
    const {left, top} = trainings.getBoundingClientRect();
    found.heading = document.elementFromPoint(left + 2, top + 2) === trainings;
  }
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  found.loaded = loaded.filter((name) => !name.startsWith("data:"));
  found.width = innerWidth;
  found.faults = window.faults;
  const row = document.getElementById("c-1-val");
  if (row) {
    location.hash = row.id;
    dispatchEvent(new Event("hashchange"));  // it comes by itself, but later
    const head = row.closest("table").tHead.getBoundingClientRect();
    found.row = head.top >= 0 && head.bottom <= row.getBoundingClientRect().top + 1;
  }
  parent.postMessage("FOUND" + JSON.stringify(found) + "END", "*");
});
</script>"""

FRAME = """<!doctype html><iframe style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe>
<script>addEventListener("message", (event) => {{ document.body.textContent = event.data; }});</script>"""
"""Of the width that is wanted: a window of Chromium is no narrower than 500 pixels."""


def seen(page, folder, width):
    text = page.read_text().replace('<meta charset="utf-8">', '<meta charset="utf-8">' + WATCH, 1)
    copy = folder / f"watched-{width}.html"
    copy.write_text(FRAME.format(width=width, page=html.escape(text.replace("</body>", WORK + "</body>"))))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += [f"--user-data-dir={folder}/profile", "--window-size=1400,900", "--dump-dom", copy.as_uri()]
    dumped = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=120).stdout
    found = re.search("FOUND(.*)END", dumped, re.S)
    assert found, dumped[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_can_filter_sort_and_look(tmp_path, width):
    make_report(made_run(tmp_path), tmp_path / "report.html")
    found = seen(tmp_path / "report.html", tmp_path, width)
    assert found["width"] == width
    images = [f"image_{number}" for number in range(6)]
    assert found["faults"] == [] and found["loaded"] == [] and found["pictures"] and found["wide"]
    assert found["all"] == images
    assert sorted(found["worst"]) == images and found["worst"] != images
    assert found["worst"][0] == found["best"][-1]
    assert found["of_class"] == ["image_1", "image_3", "image_5"] and found["count"].startswith("3 of 6")
    assert found["of_class_and_split"] == ["image_5"]
    assert set(found["methods"]) == {"adv & cam"} and len(found["methods"]) == 6
    assert (found["first"], found["second"], found["back"]) == ("image_0", "image_1", "image_0")
    assert not found["covered"] and found["heading"] and found["row"]
    assert found["opacity"] == "70" and found["layer"] == "0.7" and found["clear"] == "0"
    assert found["off"] == 3
    assert found["climb_first"][0].startswith("step 1 of 5: score 0.00, IoU of the sum")
    assert found["climb_third"][0].startswith("step 3 of 5: score 1.00") and found["climb_third"][1] == "50%"
    assert (found["playing"], found["stopped"]) == ("Stop", "Play")


def test_a_page_of_a_large_gallery_works_alike(tmp_path, monkeypatch):
    monkeypatch.setattr("wsss_core.report.gallery.pages_of", lambda cards: [cards[:2], cards[2:]])
    make_report(made_run(tmp_path), tmp_path / "report.html")
    found = seen(tmp_path / "gallery-2.html", tmp_path, 1280)
    assert found["faults"] == [] and found["loaded"] == [] and found["pictures"]
    assert found["all"] == ["image_2", "image_3", "image_4", "image_5"]
    assert found["of_class"] == ["image_3", "image_5"] and found["clear"] == "0"
