"""A disk that is full in the middle of a file: a sentence, nothing half-written, and a rerun when there is space."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch
from PIL import Image
from torch import nn

from tests.training.jobs import REPOSITORY
from tests.workflow.workflow import Workflow, small_demo
from wsss_core.config.dataset import Creatures
from wsss_core.config.training import Optimisation
from wsss_core.datasets.creatures.creatures import generate_creatures
from wsss_core.datasets.label_maps import write_label_manifest, write_label_maps
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.files.atomic import write_json, write_text
from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.files.resume import PartialWork
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.networks.weights import load_weights, save_weights
from wsss_core.training.curve import write_curve
from wsss_core.training.loop import fit
from wsss_core.training.task import Task

NOISE = np.random.default_rng(0)
LARGE = nn.Linear(1000, 500)  # 2 MB


def weights(path):
    save_weights(path, LARGE, {"kind": "test"})
    assert torch.equal(load_weights(path)[0]["weight"], LARGE.weight)


def shard(path):
    maps = NOISE.random((40, 1, 100, 100)).astype(np.float32)
    cat = np.zeros(1, np.int16)
    write_cam_store(path, ["cat"], {}, [ImageCams(str(i), cat, m, None, 400, 400) for i, m in enumerate(maps)])
    with CamStoreReader([path]) as reader:
        for i, m in enumerate(maps):
            np.testing.assert_allclose(reader.read(str(i)).cam, m, atol=1e-3)


def label_map(path):
    labels = NOISE.integers(0, 21, (1000, 1000), np.uint8)
    write_label_map(path, labels)
    assert (np.asarray(Image.open(path)) == labels).all()


def curve(path):
    rows = [{"epoch": float(i), "loss": float(NOISE.random()), "learning_rate": 0.1} for i in range(30_000)]
    write_curve(rows, path)
    assert len(pandas.read_csv(path)) == 30_000


def manifest(path):
    write_label_manifest({f"image_{i}": path.with_name(f"{i}.png") for i in range(30_000)}, path)
    assert len(pandas.read_csv(path)) == 30_000


def record(path):
    write_json(path, list(range(200_000)))
    assert json.loads(path.read_text())[-1] == 199_999


WRITERS = {
    "weights.safetensors": weights,
    "000-of-001.h5": shard,
    "label_map.png": label_map,
    "training.csv": curve,
    "000-of-001.csv": manifest,
    "provenance.json": record,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_whole_or_not_there(small_disk, name):
    path = small_disk.path / "artifact" / name
    with pytest.raises(UserError, match=f"{name}: cannot be written, as the disk is full; make space and run the same"):
        WRITERS[name](path)
    assert list(path.parent.iterdir()) == []
    assert small_disk.used() <= 8
    small_disk.grow(8192)
    WRITERS[name](path)
    assert list(path.parent.iterdir()) == [path]


def test_an_earlier_file_stays(small_disk):
    path = small_disk.path / "provenance.json"
    write_text(path, "[]")
    with pytest.raises(UserError):
        record(path)
    assert path.read_text() == "[]"


def test_a_training_goes_on_from_its_last_checkpoint(small_disk, caplog):
    """Momentum joins the checkpoint after the first step, so that it is the second epoch's that finds no space."""
    torch.manual_seed(0)
    network = nn.Linear(150, 150, bias=False)  # 88 KiB
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    samples = torch.randn(4, 150)
    optimisation = Optimisation(epochs=3, batch_size=4, learning_rate=0.01, momentum=0.9)

    def train(folder):
        network.load_state_dict(start)
        partial = PartialWork(folder, "training", [])
        groups = [ParameterGroup(network.parameters(), 1)]
        loss = lambda batch, epoch: {"loss": network(batch).square().mean()}  # noqa: E731
        rows = fit(Task(network, samples, loss, groups), optimisation, partial, torch.device("cpu"))
        return rows, network.weight.clone()

    unbroken, artifact = train(small_disk.path.parent / "elsewhere"), small_disk.path / "artifact"
    filler = small_disk.path / "filler"
    filler.write_bytes(bytes(1024 * (256 - 190 - 12)))  # room for one checkpoint, not for the next beside it
    with pytest.raises(UserError, match=r"checkpoint\.pt: cannot be written, as the disk is full"):
        train(artifact)
    assert len(list(artifact.rglob("*.pt"))) == 1
    filler.unlink()
    small_disk.grow(1024)
    with caplog.at_level("INFO"):
        rows, weight = train(artifact)
    assert "continuing after epoch 1 and 0 steps" in caplog.text
    assert rows == unbroken[0] and torch.equal(weight, unbroken[1])


def test_label_maps_that_are_finished_are_kept(small_disk, tmp_path):
    from tests.datasets.voc_tree import indexed, small_tree

    index = indexed(small_tree(tmp_path / "voc"))
    maps = [NOISE.integers(0, 21, (300, 300), np.uint8) for _ in range(len(index))]
    made = []

    def make(position):
        made.append(position)
        return maps[position]

    path = small_disk.path / "artifact" / "labels" / "000-of-001.csv"
    with pytest.raises(UserError, match=r"\.png: cannot be written, as the disk is full"):
        write_label_maps(index, make, path, [], "making")
    finished = made[:-1]
    assert finished and len(list(path.parent.iterdir())) == len(finished)
    small_disk.grow(2048)
    write_label_maps(index, make, path, [], "making")
    assert sorted(made) == sorted([*range(len(index)), len(finished)])
    for position, image_id in enumerate(index.image_ids):
        assert (np.asarray(Image.open(path.with_name(f"{image_id}.png"))) == maps[position]).all()


def test_a_data_set_is_there_as_a_whole_or_not_at_all(small_disk):
    parameters = Creatures(train_images=60, val_images=6, size=64)
    with pytest.raises(UserError, match="generated: cannot be written, as the disk is full"):
        generate_creatures(small_disk.path / "generated", parameters)
    assert list((small_disk.path / "generated").iterdir()) == []
    small_disk.grow(4096)
    generate_creatures(small_disk.path / "generated", parameters)
    assert len(list((small_disk.path / "generated" / "JPEGImages").iterdir())) == 66


def test_no_library_ends_the_process(small_disk):
    """HDF5 crashes when it cannot write at its end; so the whole of it in a process of its own."""
    code = "import pathlib, sys; from tests.kills import test_full_disk as t; t.shard(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(small_disk.path / "shard.h5")]
    result = subprocess.run(command, cwd=REPOSITORY, env={**os.environ}, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.splitlines()[-1].startswith("wsss_core.errors.UserError")


@pytest.mark.slow
def test_the_workflow_goes_on_as_the_disk_grows(small_disk, tmp_path):
    """All artifacts on the small disk; logs and Snakemake's own records are elsewhere."""
    run, whole = (Workflow(tmp_path / name, small_demo("advcam")) for name in ("run", "whole"))
    whole.folder.mkdir()
    whole.run("affinity")
    run.results.mkdir(parents=True)
    for stage in ("generated", "dataset", "backbone", "classifier", "cams", "affinity_labels", "affinity"):
        (small_disk.path / stage).mkdir()
        (run.results / stage).symlink_to(small_disk.path / stage)
    size, reported, result = 256, 0, None
    while result is None or result.returncode != 0:
        result = run.attempt("affinity")
        reported += result.returncode != 0 and "cannot be written, as the disk is full" in result.stdout
        for file in small_disk.path.rglob("*.*"):
            if file.suffix in (".safetensors", ".h5", ".png", ".csv") and ".partial" not in file.parts:
                assert file.read_bytes() == (whole.results / file.relative_to(small_disk.path)).read_bytes(), file
        size = int(size * 1.5)
        assert size < 100_000
        small_disk.grow(size)
    assert reported >= 3
