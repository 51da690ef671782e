"""What a box says of the machine, and which images it holds."""

from wsss_core.box.one_experiment import absolute_paths
from wsss_core.box.pack import _files_of_artifacts
from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan


def test_places_on_this_machine():
    settings = {"dataset": {"root": "/home/ada/photos", "lists": ["lists/train.txt", "~/val.txt"], "long_side": 3}}
    assert absolute_paths(settings) == ["/home/ada/photos", "~/val.txt"]
    assert absolute_paths({"dataset": {"root": "data/mine", "labels": None}, "extensions": ["mine.py"]}) == []


def test_the_smaller_copies_of_photographs_stay_where_they_are(tmp_path):
    config = read_yaml("configs/folder-cpu.yaml")
    plan = Plan(load_config({**config, "runtime": {**config["runtime"], "results": str(tmp_path)}}))
    for name in ("images/private.jpg", "images/sub/private.png", "dataset_report.html", "index.csv", "classes.json"):
        file = plan.dataset.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    for with_maps in (False, True):
        names = [name for name in _files_of_artifacts(plan, with_maps, tmp_path) if "/dataset/" in name]
        assert sorted(name.rpartition("/")[2] for name in names) == ["classes.json", "index.csv"]
