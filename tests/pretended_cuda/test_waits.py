"""Where nothing may wait for the device, or only now and then; and pieces that are halved where its memory is full."""

import numpy as np
import pytest
import torch

from tests.cams.tiny_network import TinyClassifier
from wsss_core.cams.advcam import advcam_side_by_side
from wsss_core.config.cams import AdvCams
from wsss_core.config.training import Optimisation
from wsss_core.errors import UserError
from wsss_core.files.resume import PartialWork
from wsss_core.inference import pieces
from wsss_core.inference.scaled_images import scaled_images
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.refinement.affinity_pairs import neighbour_offsets
from wsss_core.refinement.random_walk import random_walk
from wsss_core.training.loop import fit
from wsss_core.training.step_losses import STEPS_UNREAD
from wsss_core.training.task import Task

from .compared import largest_deviations
from .machine import pretended_cuda
from .stages import STAGES, Place
from .tensor import CUDA

IMAGES = [np.random.default_rng(seed).integers(0, 255, (24, 32, 3), np.uint8) for seed in range(3)]
CLASSES = [[0, 2], [1], [0, 1, 3]]


def climbed(device, **options):
    parameters = AdvCams(classifier="any", steps=8, scales=(0.5, 1.0), **options)
    network = TinyClassifier(dtype=torch.float32).to(device)
    images = scaled_images(IMAGES, parameters.scales)
    images = (images.pinned() if device == CUDA else images).sent_to(next(network.parameters()))
    return network, images, parameters


def test_a_climb_waits_for_nothing():
    expected = advcam_side_by_side(*climbed("cpu")[:2], CLASSES, climbed("cpu")[2])
    with pretended_cuda() as seen:
        network, images, parameters = climbed(CUDA)
        seen.waits.clear()
        found = advcam_side_by_side(network, images, CLASSES, parameters)
        assert seen.waits == {} and seen.operations["convolution"] > 40
        cam = found.cam.cpu()
    torch.testing.assert_close(cam, expected.cam, rtol=1e-4, atol=1e-5)


def test_losses_are_read_every_ten_steps_and_are_those_of_the_cpu(tmp_path):
    def curve(device):
        torch.manual_seed(0)
        network = torch.nn.Conv2d(3, 4, 3)
        samples = [torch.randn(3, 6, 6) for _ in range(2 * STEPS_UNREAD + 3)]

        def loss(batch, epoch):
            found = network(batch).square().mean()
            return {"loss": found, "half": found / 2}

        task = Task(network, samples, loss, [ParameterGroup(network.parameters(), 1)])
        optimisation = Optimisation(epochs=2, batch_size=1, learning_rate=1e-2)
        return fit(task, optimisation, PartialWork(tmp_path / str(device), "work", []), torch.device(device))

    with pretended_cuda() as seen:
        found = curve(CUDA)
    assert found == curve("cpu")
    reads = {wait: times for wait, times in seen.waits.items() if "step_losses.py" in wait.place}
    assert list(reads.values()) == [2 * 3]  # an epoch: after 10, 20 and 23 steps


def test_a_loss_that_is_not_finite_is_never_saved(tmp_path):
    network = torch.nn.Conv2d(3, 4, 3)
    task = Task(
        network,
        [torch.full((3, 6, 6), torch.inf)] * 3,
        lambda batch, epoch: {"loss": network(batch).square().mean()},
        [ParameterGroup(network.parameters(), 1)],
    )
    partial = PartialWork(tmp_path, "work", [])
    with pretended_cuda(), pytest.raises(UserError, match=r"the loss is (inf|nan) at epoch 1"):
        fit(task, Optimisation(epochs=1, batch_size=1), partial, CUDA)
    assert not partial.path("checkpoint.pt").exists()


def test_a_walk_asks_the_device_once_and_waits_for_its_maps():
    generator = np.random.default_rng(0)
    offsets = neighbour_offsets(4)
    maps, affinities = generator.random((5, 7, 9)), generator.random((len(offsets), 7, 9))
    with pretended_cuda() as seen:
        found = random_walk(maps, affinities, offsets, 2.0, 3, CUDA)
    np.testing.assert_allclose(found, random_walk(maps, affinities, offsets, 2.0, 3), rtol=1e-12)
    assert [wait.place.split(":")[0] for wait in seen.waits] == ["refinement/walk_matrix.py, walk_matrix"]
    assert sum(seen.waits.values()) == 1


@pytest.mark.parametrize(
    ("name", "what"),
    [("cams advcam", "climbing images"), ("cams multiscale", "views of images"), ("predictions", "views of images")],
)
def test_pieces_are_halved_where_memory_is_full(name, what, inputs, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(pieces, "_too_much", {})
    STAGES[name](Place(tmp_path / "cpu", inputs, "cpu"))
    with pretended_cuda() as seen:
        STAGES[name](Place(tmp_path / "cuda", inputs, "cuda"))
    whole = seen.largest
    monkeypatch.setattr(pieces, "_too_much", {})
    with caplog.at_level("INFO"), pretended_cuda(at_most=whole - 1):
        STAGES[name](Place(tmp_path / "less", inputs, "cuda"))
    # Maps are stored as float16: where pieces round otherwise, a value is at most the next one, 2^-11 away below 1.
    step = 2**-11 if name.startswith("cams") else 1e-4
    assert max(largest_deviations(tmp_path / "cpu", tmp_path / "less").values()) <= step
    assert any(f"{what} at once: continuing with" in message for message in caplog.messages)


def test_a_single_thing_that_is_too_large_is_an_error(monkeypatch):
    monkeypatch.setattr(pieces, "_too_much", {})

    def too_much(piece):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        pieces.in_pieces(too_much, 5, 5, 10, "things")


def test_what_was_too_much_once_is_not_tried_again(monkeypatch):
    monkeypatch.setattr(pieces, "_too_much", {})
    tried = []

    def fits_three(piece):
        tried.append(piece.stop - piece.start)
        if tried[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return list(range(piece.start, piece.stop))

    found = pieces.in_pieces(fits_three, 9, 9, 10, "things")
    assert [one for piece in found for one in piece] == list(range(9))
    assert tried == [9, 4, 2, 2, 2, 2, 1]
    tried.clear()
    pieces.in_pieces(fits_three, 4, 4, 5, "things")  # half as large
    assert tried == [4, 2, 2]
