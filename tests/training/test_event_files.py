"""Event files beside the training curve: each epoch once, also of a training that was stopped."""

import pandas
import pytest

from tests.classifiers.test_train_classifier import settings
from tests.refinement.tiny_data import TRUNK, write_images, write_trunk
from wsss_core.classifiers.train_classifier import StartingWeights, train_classifier
from wsss_core.jobs.run import Run
from wsss_core.training.event_files import event_files

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(folder):
    """By name, (step, value) of every scalar in the folder's event files."""
    read = accumulator.EventAccumulator(str(folder))
    read.Reload()
    return {name: [(event.step, event.value) for event in read.Scalars(name)] for name in read.Tags()["scalars"]}


def test_a_trainings_curve_is_written(tmp_path):
    index, trunk = write_images(tmp_path / "images"), write_trunk(tmp_path / "trunk.safetensors")
    folder, parameters = tmp_path / "artifact", settings(epochs=3)

    def train(run):
        start = StartingWeights(backbone=trunk)
        files = folder / "weights.safetensors", folder / "training.csv"
        train_classifier(parameters, TRUNK, index, start, *files, run=run)

    train(Run(device="cpu", tensorboard=True))
    curve, found = pandas.read_csv(folder / "training.csv"), scalars(folder / "tensorboard")
    assert set(found) == set(curve.columns) - {"epoch"}
    for name, values in found.items():
        assert [step for step, _ in values] == [1, 2, 3]
        assert [value for _, value in values] == pytest.approx(curve[name].tolist(), rel=1e-4)


def test_without_a_folder_nothing_is_written(tmp_path):
    with event_files(None) as write:
        write({"epoch": 1.0, "loss": 2.0})
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_goes_on_has_each_epoch_once(tmp_path):
    for rows in ([1, 2], [1, 2, 3]):
        with event_files(tmp_path) as write:
            for epoch in rows:
                write({"epoch": float(epoch), "loss": 1 / epoch})
    assert [step for step, _ in scalars(tmp_path)["loss"]] == [1, 2, 3]
