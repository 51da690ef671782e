"""What a box's settings say of the machine."""

from wsss_core.box.one_experiment import absolute_paths


def test_places_on_this_machine():
    settings = {"dataset": {"root": "/home/ada/photos", "lists": ["lists/train.txt", "~/val.txt"], "long_side": 3}}
    assert absolute_paths(settings) == ["/home/ada/photos", "~/val.txt"]
    assert absolute_paths({"dataset": {"root": "data/mine", "labels": None}, "extensions": ["mine.py"]}) == []
