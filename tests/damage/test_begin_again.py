"""What a killed run has left, and is damaged, costs what is damaged, and never changes what comes out."""

import io
import logging
import zipfile

import numpy as np
import pytest
import torch

from wsss_core.files.cam_store import CamStoreReader
from wsss_core.files.provenance import recorded_jobs
from wsss_core.files.record import read_record
from wsss_core.inference.cam_blocks import write_cams_in_blocks
from wsss_core.jobs.run import Run
from wsss_core.training.checkpoint import Checkpoint, Position

from .artifacts import CLASSES, checkpoint, index, random_cams

SAVED = Position([{"epoch": 1.0, "loss": 1.0}], 3, {"loss": 2.0})
STEPS = (5, 5)


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of a network with other weights than one that is newly built."""
    trained = checkpoint(tmp_path / "checkpoint.pt")
    with torch.no_grad():
        for parameter in trained.network.parameters():
            parameter += 1
    trained.save(SAVED)
    return trained.path


def begins_again(path, steps=STEPS):
    """Whether nothing of the checkpoint got into the training."""
    begun = checkpoint(path)
    weights = [tensor.clone() for tensor in begun.network.state_dict().values()]
    generator = torch.get_rng_state()
    position = begun.load(steps)
    fresh = checkpoint(path)
    unchanged = all(map(torch.equal, weights, begun.network.state_dict().values()))
    momentum = [
        [state["momentum_buffer"] for state in each.optimizer.state_dict()["state"].values()] for each in (begun, fresh)
    ]
    assert (position == Position()) == unchanged
    if unchanged:
        assert all(map(torch.equal, *momentum))
        torch.set_rng_state(generator)
    return unchanged


def test_a_whole_checkpoint_is_gone_on_from(saved):
    assert not begins_again(saved)
    assert checkpoint(saved).load(STEPS) == SAVED
    assert checkpoint(saved).load() == SAVED


def test_weights_with_one_wrong_bit_are_noticed(saved, caplog):
    """It is not torch that looks at the checksums: the training would go on with another number."""
    with zipfile.ZipFile(saved) as archive:
        largest = max(
            (entry for entry in archive.infolist() if "/data/" in entry.filename), key=lambda entry: entry.file_size
        )
        content = archive.read(largest)
    data = bytearray(saved.read_bytes())
    data[data.index(content) + 3] ^= 1
    saved.write_bytes(data)
    assert begins_again(saved)
    (reported,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert str(saved) in reported and "is damaged" in reported and "the training starts from its beginning" in reported


def without(name):
    return lambda state: state.pop(name)


def changed(name, value):
    return lambda state: state.__setitem__(name, value)


@pytest.mark.parametrize(
    "change",
    [
        *map(without, ("network", "optimizer", "generators", "curve", "step", "sums")),
        changed("network", {"weight": torch.zeros(2, 3)}),
        changed("network", {"weight": torch.zeros(2, 3), "bias": torch.zeros(3)}),
        changed("network", {"weight": torch.zeros(2, 3), "bias": torch.zeros(2, dtype=torch.int64)}),
        changed("network", {"weight": torch.zeros(2, 3), "bias": [0.0, 0.0]}),
        changed("network", [1]),
        changed("optimizer", {}),
        changed("optimizer", {"state": {}, "param_groups": []}),
        changed("optimizer", 3),
        lambda state: state["optimizer"]["param_groups"][0].pop("lr"),
        lambda state: state["optimizer"]["param_groups"][0]["params"].pop(),
        lambda state: state["optimizer"]["param_groups"].append(dict(state["optimizer"]["param_groups"][0])),
        lambda state: state["optimizer"]["state"][0].update(momentum_buffer=torch.zeros(7)),
        lambda state: state["optimizer"]["state"].update({9: {"momentum_buffer": torch.zeros(7)}}),
        lambda state: state["optimizer"]["state"].update({0: [1]}),
        changed("curve", None),
        changed("curve", ["loss"]),
        changed("curve", [{"loss": "low"}]),
        changed("curve", 3 * [{"loss": 1.0}]),
        changed("step", -1),
        changed("step", 5),
        changed("step", "3"),
        changed("sums", {"loss": None}),
        changed("sums", []),
        changed("generators", []),
        changed("generators", None),
        changed("generators", [torch.zeros(5056)]),
        changed("generators", [torch.full((5056,), 255, dtype=torch.uint8)]),
    ],
)
def test_a_checkpoint_of_something_else_is_not_gone_on_from(change, saved):
    state = torch.load(saved, weights_only=True)
    change(state)
    torch.save(state, saved)
    assert begins_again(saved)


def in_optimizer(name, value, part="state"):
    return lambda state: state["optimizer"][part][0].__setitem__(name, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["network"]["weight"].fill_(float("nan")),
        lambda state: state["network"].update(bias=state["network"]["bias"].to_sparse()),
        lambda state: state["optimizer"]["state"][0]["momentum_buffer"].fill_(float("inf")),
        lambda state: state["optimizer"]["state"][0].pop("momentum_buffer"),
        in_optimizer("momentum_buffer", "x"),
        in_optimizer("momentum_buffer", None),
        in_optimizer("momentum_buffer", torch.zeros(2, 3, dtype=torch.int64)),
        in_optimizer("momentum_buffer", torch.tensor(1.0)),
        in_optimizer("lr", "x", "param_groups"),
        in_optimizer("lr", float("nan"), "param_groups"),
        in_optimizer("momentum", None, "param_groups"),
        in_optimizer("nesterov", 0, "param_groups"),
        changed("step", True),
        changed("generators", [torch.zeros(16, dtype=torch.uint8)]),
    ],
)
def test_a_checkpoint_with_sound_checksums_that_would_fail_later_is_not_gone_on_from(change, saved, caplog):
    state = torch.load(saved, weights_only=True)
    change(state)
    torch.save(state, saved)
    assert begins_again(saved)
    assert "is damaged" in caplog.text


def test_where_putting_a_state_back_fails_all_is_as_it_was(saved, monkeypatch, caplog):
    def fail(self, states):
        torch.manual_seed(99)
        raise RuntimeError("not that one")

    monkeypatch.setattr(Checkpoint, "_restore_generators", fail)
    assert begins_again(saved)
    begun = checkpoint(saved)
    generator = torch.get_rng_state()
    assert begun.load(STEPS) == Position() and torch.equal(generator, torch.get_rng_state())
    assert "is damaged (not that one)" in caplog.text


def test_what_is_no_checkpoint_is_not_gone_on_from(saved):
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "text")
    pickled = io.BytesIO()
    torch.save(Position(), pickled)  # a class: nothing of it is made
    alone = io.BytesIO()
    torch.save([1, 2], alone)
    for content in (b"", b"text", other.getvalue(), pickled.getvalue(), alone.getvalue(), saved.read_bytes()[:-70]):
        saved.write_bytes(content)
        assert begins_again(saved)


def drawn_blocks(shard_file, drawn, until=None):
    """Draw the maps of the index in blocks of one image, and note which."""

    def draw(blocks):
        for block in blocks:
            for position in block:
                if position == until:
                    raise KeyboardInterrupt
                drawn.append(position)
                yield random_cams(index().image_ids[position])

    write_cams_in_blocks(shard_file, index(), draw, Run(), "float16", block_images=1)


def test_damaged_blocks_of_class_maps_are_drawn_again(tmp_path, caplog):
    whole, shard_file = tmp_path / "whole/shards/000-of-001.h5", tmp_path / "killed/shards/000-of-001.h5"
    drawn_blocks(whole, [])
    with pytest.raises(KeyboardInterrupt):
        drawn_blocks(shard_file, [], until=3)
    first, second, third = sorted(shard_file.parent.parent.glob(".partial/*/block-*.h5"))
    data = first.read_bytes()
    first.write_bytes(data[:-200])
    third.write_bytes(second.read_bytes())
    again = []
    drawn_blocks(shard_file, again)
    assert again == [0, 2, 3]
    assert shard_file.read_bytes() == whole.read_bytes()
    assert "is not a whole HDF5 file" in caplog.text and "other images" in caplog.text
    with CamStoreReader([shard_file]) as reader:
        assert reader.image_ids == sorted(index().image_ids) and reader.classes == CLASSES
        assert np.isfinite(reader.read("x").cam).all()


def test_records_say_what_whole_lines_say(tmp_path):
    record = tmp_path / "finished.txt"
    assert read_record(record) == []
    record.write_bytes("a\nÄ\n\xff".encode() + b"\xfe\nb\nab")
    assert read_record(record) == ["a", "Ä", "ÿ\udcfe", "b"]
    with open(record, "a") as file:
        print("c", file=file)
    assert read_record(record)[-2:] == ["b", "c"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"jobs": []}', b'{"jobs": {"a": 3}}', b'{"jobs": {"a": {"seconds": "x"}}}', b"\xff"],
)
def test_of_a_damaged_provenance_nothing_is_known(content, tmp_path, caplog):
    (tmp_path / "provenance.json").write_bytes(content)
    assert recorded_jobs(tmp_path / "provenance.json") == {}
    assert "provenance.json: is damaged" in caplog.text
    assert recorded_jobs(tmp_path / "none.json") == {}
