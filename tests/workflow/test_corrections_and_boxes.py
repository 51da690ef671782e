"""After a training: labels are corrected and trained on, and the experiment goes elsewhere in a box."""

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pandas
import pytest
import yaml

from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.datasets.palette import write_label_map

from .workflow import REPOSITORY, Workflow, small_demo

pytestmark = pytest.mark.xdist_group("finished")

CORRECTED = 10


def command(folder, *arguments, status=0):
    """Run `python -m wsss_core` in a folder, as a user does; what it says."""
    result = subprocess.run(
        [sys.executable, "-m", "wsss_core", *map(str, arguments)],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def copied(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corrected") / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True)
    workflow = Workflow(folder, finished.changed().config)
    workflow.options()  # writes the configuration
    return workflow


def test_corrected_labels_are_trained_on_and_only_what_changed_runs(copied):
    folder, results = copied.folder, copied.results
    export = ("labels", "export", "--experiment", "cam", "--format", "png", "--worst", CORRECTED)
    command(folder, *export, "--by", "confidence", "--out", "to_correct")
    command(folder, *export, "--by", "disagreement", "--with", "advcam", "--out", "disputed")
    chosen = json.loads((folder / "to_correct/exported.json").read_text())["images"]
    worth = [entry["worth"] for entry in chosen.values()]
    assert len(worth) == CORRECTED and worth == sorted(worth) and 0 < worth[0] < worth[-1] < 1
    disputed = json.loads((folder / "disputed/exported.json").read_text())["images"]
    assert set(disputed) != set(chosen)

    # The person who corrects draws what the data set's masks have.
    (masks_csv,) = results.glob("masks/*/masks.csv")
    masks = read_label_manifest([masks_csv])
    for image_id in chosen:
        file = folder / "to_correct/labels" / f"{image_id}.png"
        assert file.exists()
        write_label_map(file, read_mask(masks[image_id]))
    said = command(folder, "labels", "import", "to_correct", "--out", "corrected")
    assert said.startswith(f"corrected: {CORRECTED} masks")

    weak = copied.config["experiments"]["cam"]
    copied.config["experiments"]["corrected"] = {**weak, "masks_of": {"folder": "corrected"}}
    assert copied.planned("predictions") == {
        "index_corrections": 1,
        "train_segmenter": 1,
        "predict": 1,
        "predictions": 1,
    }
    copied.run()
    summary = pandas.read_csv(results / "summary.csv").set_index("experiment")
    assert summary.loc["corrected", "labels"] == "corrected masks of corrected, pseudo"
    assert summary["val"].notna().all()
    weights = [results / "experiments" / name / "segmenter/weights.safetensors" for name in ("cam", "corrected")]
    assert weights[0].read_bytes() != weights[1].read_bytes()
    (log,) = results.glob("logs/train_segmenter/cam-irn-corrected-deeplab-*.log")
    assert f"training on {CORRECTED} images with masks and 70 others" in log.read_text()
    page = (results / "report.html").read_text()
    assert "What the corrections were worth" in page and f"{CORRECTED} masks from corrected; " in page

    mask = next((folder / "corrected").rglob("*.png"))
    write_label_map(mask, 0 * read_mask(mask))
    assert copied.planned("segmenter") == {"index_corrections": 1, "train_segmenter": 1, "segmenter": 1}


def test_predictions_are_exported_with_the_networks_confidence(copied):
    arguments = ("--experiment", "cam", "--stage", "predictions", "--by", "confidence", "--worst", 2)
    command(copied.folder, "labels", "export", *arguments, "--format", "cvat", "--out", "unsure")
    assert len(json.loads((copied.folder / "unsure/exported.json").read_text())["images"]) == 2


@pytest.mark.parametrize("maps", [[], ["--with-maps"]])
def test_a_box_opens_elsewhere_and_nothing_is_to_be_done(copied, tmp_path, maps):
    copied.options()
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    for box in (one, other):
        command(copied.folder, "pack", "advcam", "--out", box, "--licence", "CC0-1.0", *maps)
    assert one.read_bytes() == other.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    said = command(elsewhere, "unpack", one)
    assert said.startswith("advcam.yaml")
    card = (elsewhere / "results/creatures/experiments/advcam/README.md").read_text()
    assert "license: CC0-1.0" in card and "decisions about people" in card
    fresh = Workflow(elsewhere, yaml.safe_load((elsewhere / "advcam.yaml").read_text()))
    assert fresh.planned() == {}
    summary = pandas.read_csv(elsewhere / "results/creatures/summary.csv").set_index("experiment")
    before = pandas.read_csv(copied.results / "summary.csv").set_index("experiment")
    assert summary.loc["advcam", "val"] == before.loc["advcam", "val"]
    assert (elsewhere / "results/creatures/report.html").stat().st_size > 10000
    files = [path for path in (elsewhere / "results").rglob("*") if path.is_file() and not path.is_symlink()]
    weights = next(path for path in files if path.match("segmenter/*/weights.safetensors"))
    leftover = weights.with_name(".writing-0123456789ab-weights.safetensors")
    leftover.touch()
    (elsewhere / "results/creatures/experiments/advcam/links.json").unlink()  # again, as after a kill
    command(elsewhere, "unpack", one)
    there = [path for path in (elsewhere / "results").rglob("*") if path.is_file() and not path.is_symlink()]
    assert sorted(there) == sorted(files)
    assert fresh.planned() == {}
    if not maps:
        time.sleep(0.01)
        command(copied.folder, "pack", "cam", "--out", other)
        command(elsewhere, "unpack", other)
        both = Workflow(elsewhere, yaml.safe_load((elsewhere / "cam.yaml").read_text()))
        assert both.planned() == {} and fresh.planned() == {}
        # And one with the maps of what is there.
        command(copied.folder, "pack", "cam", "--with-maps", "--out", other)
        command(elsewhere, "unpack", other)
        assert both.planned() == {} and fresh.planned() == {}
        # What came out of a box goes into one again; settings may have other words for the same.
        command(elsewhere, "pack", "advcam", "--configfile", "advcam.yaml", "--licence", "CC0-1.0", "--out", other)
        again = ("pack", "advcam", "--configfile", "advcam.yaml", "--with-maps", "--out", tmp_path / "maps.zip")
        assert "is not made yet" in command(elsewhere, *again, status=2)
        with zipfile.ZipFile(one) as first, zipfile.ZipFile(other) as second:
            assert first.namelist() == second.namelist()
            different = [name for name in first.namelist() if first.read(name) != second.read(name)]
        assert set(different) <= {"box.json", "config.yaml"}
    weights.write_bytes(b"others")
    assert "differs from that in the box" in command(elsewhere, "unpack", one, status=2)
    assert weights.read_bytes() == b"others"


def rewritten(box, target, changed):
    """Write a box with other content of some files, None for none; listed or not as they are."""
    with zipfile.ZipFile(box) as source, zipfile.ZipFile(target, "w") as archive:
        description = json.loads(source.read("box.json"))
        for entry in source.infolist():
            kept = changed(entry.filename, source.read(entry))
            if kept is None:
                description["files"].pop(entry.filename)
            elif entry.filename != "box.json":
                archive.writestr(entry, kept)
        archive.writestr("box.json", json.dumps(description))
    return target


def test_a_box_that_is_not_whole_is_refused_before_anything_is_written(copied, tmp_path):
    copied.options()
    box, elsewhere = tmp_path / "box.zip", tmp_path / "elsewhere"
    elsewhere.mkdir()
    command(copied.folder, "pack", "cam", "--out", box)

    def without_segmenter(name, content):
        return None if name.startswith("artifacts/segmenter/") else content

    def damaged(name, content):
        return content[:-1] + b"?" if name.startswith("artifacts/walked_cams/") else content

    for number, (change, said) in enumerate([(without_segmenter, "lacks artifacts/segmenter/"), (damaged, "damaged")]):
        other = rewritten(box, tmp_path / f"{number}.zip", change)
        assert said in command(elsewhere, "unpack", other, status=2)
        assert list(elsewhere.iterdir()) == []
    links = elsewhere / "results/creatures/experiments/cam/links.json"
    links.parent.mkdir(parents=True)
    links.write_text('{"segmenter": "../../segmenter/other-0123456789"}')
    assert "links to results of other settings" in command(elsewhere, "unpack", box, status=2)
    assert [path for path in elsewhere.rglob("*") if path.is_file()] == [links]


def test_what_is_packed_next_to_the_results_is_reported(copied, tmp_path):
    copied.options()
    said = command(copied.folder, "pack", "cam", "--out", tmp_path / "box.zip", "--author", "A\n# B", status=2)
    assert said == "--author: must be one line of text, not 'A\\n# B'\n"
    assert not (tmp_path / "box.zip").exists()


def test_what_is_not_made_cannot_be_packed(tmp_path):
    workflow = Workflow(tmp_path, small_demo())
    workflow.options()
    assert "is not made yet" in command(tmp_path, "pack", "cam", status=2)
    assert "did you mean 'cam'" in command(tmp_path, "pack", "cams", status=2)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["config.yaml"]
