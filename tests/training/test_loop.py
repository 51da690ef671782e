import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from wsss_core.config.training import Optimisation
from wsss_core.errors import UserError
from wsss_core.files.resume import PartialWork
from wsss_core.networks.parameter_groups import ParameterGroup
from wsss_core.training import loop
from wsss_core.training.batches import EpochBatches, mix_seed
from wsss_core.training.curve import write_curve
from wsss_core.training.loop import fit, learning_rate_factor
from wsss_core.training.task import Task

CPU = torch.device("cpu")
SGD = Optimisation(epochs=3, batch_size=4, learning_rate=0.05, momentum=0.9, weight_decay=1e-3, warmup_steps=2)
ADAMW = Optimisation(optimizer="adamw", epochs=3, batch_size=4, learning_rate=1e-2)


class NoisySamples:
    """Points on a line, with noise from torch's global generator."""

    def __init__(self, number=11):
        self.number = number

    def __len__(self):
        return self.number

    def __getitem__(self, index):
        image = torch.full((3, 8, 8), index / self.number) + 0.1 * torch.randn(3, 8, 8)
        return image, torch.tensor([index / self.number])


class Killed(Exception):
    pass


def make_network():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout2d(0.3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 1)
    ).train()


def train(folder, optimisation=SGD, workers=0, kill_in_epoch=None, samples=None, network=None, factor=1.0):
    network = network or make_network()
    samples = NoisySamples() if samples is None else samples

    def loss(batch, epoch):
        if epoch == kill_in_epoch:
            raise Killed
        images, values = batch
        error = functional.mse_loss(network(images), values)
        return {"loss": error * factor, "error": error}

    groups = [ParameterGroup(network[0].parameters(), 1), ParameterGroup(network[5].parameters(), 10)]
    partial = PartialWork(folder, "training", [])
    curve = fit(Task(network, samples, loss, groups), optimisation, partial, CPU, workers)
    return network.state_dict(), curve


def assert_same(one, other):
    assert one[1] == other[1]
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])


@pytest.mark.parametrize("optimisation", [SGD, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_killed_training_ends_as_an_unbroken_one(tmp_path, optimisation, epoch):
    unbroken = train(tmp_path / "unbroken", optimisation)
    with pytest.raises(Killed):
        train(tmp_path / "killed", optimisation, kill_in_epoch=epoch)
    torch.randn(17)  # another process has another random state
    assert_same(unbroken, train(tmp_path / "killed", optimisation))
    assert len(unbroken[1]) == 3


def test_a_finished_training_is_not_repeated(tmp_path):
    first = train(tmp_path)
    assert_same(first, train(tmp_path, kill_in_epoch=0))


def test_the_number_of_workers_changes_nothing(tmp_path):
    alone = train(tmp_path / "alone")
    assert_same(alone, train(tmp_path / "two", workers=2))
    with pytest.raises(Killed):
        train(tmp_path / "mixed", workers=2, kill_in_epoch=1)
    assert_same(alone, train(tmp_path / "mixed", workers=0))


def test_the_seed_changes_the_result_and_the_callers_state_does_not(tmp_path):
    one, _ = train(tmp_path / "one")
    other, _ = train(tmp_path / "other", SGD.model_copy(update={"seed": 1}))
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_the_learning_rate_warms_up_and_decays_by_the_formula(tmp_path):
    for step in range(10):
        factor = learning_rate_factor(step, 10, Optimisation(power=0.9))
        assert math.isclose(factor, (1 - step / 10) ** 0.9)
    warm = [learning_rate_factor(step, 100, Optimisation(warmup_steps=4)) for step in range(6)]
    assert [round(w / (1 - s / 100) ** 0.9, 9) for s, w in enumerate(warm)] == [0.2, 0.4, 0.6, 0.8, 1, 1]
    _, curve = train(tmp_path)
    steps = 3 * (11 // 4)
    assert [row["epoch"] for row in curve] == [1, 2, 3]
    assert math.isclose(curve[-1]["learning_rate"], 0.05 * (1 - (steps - 1) / steps) ** 0.9)


def test_the_rate_may_stay_for_some_steps():
    factors = [learning_rate_factor(step, 25, Optimisation(power=1, decay_every=10)) for step in range(25)]
    assert factors == [1.0] * 10 + [1 - 10 / 25] * 10 + [1 - 20 / 25] * 5


def test_the_rate_may_fall_by_ten_at_milestones():
    optimisation = Optimisation(milestones=(0.6, 0.8), warmup_steps=1)
    factors = [learning_rate_factor(step, 10, optimisation) for step in range(10)]
    assert factors == pytest.approx([0.5] + [1.0] * 5 + [0.1] * 2 + [0.01] * 2)


def test_steps_may_have_more_images_in_later_epochs(tmp_path):
    """The rate decays as if all steps had the usual number of images, and so does not come to its end."""
    network, seen = make_network(), []

    def loss(batch, epoch):
        seen.append((epoch, len(batch[0])))
        return {"loss": functional.mse_loss(network(batch[0]), batch[1])}

    groups = [ParameterGroup(network.parameters(), 1)]
    optimisation = Optimisation(epochs=3, batch_size=3, learning_rate=0.01)
    batch_size = lambda epoch: 3 if epoch < 1 else 5  # noqa: E731
    partial = PartialWork(tmp_path, "training", [])
    curve = fit(Task(network, NoisySamples(), loss, groups, batch_size=batch_size), optimisation, partial, CPU)
    assert seen == [(0, 3)] * 3 + [(1, 5)] * 2 + [(2, 5)] * 2
    rates = [0.01 * (1 - step / (3 * 3)) ** 0.9 for step in (2, 4, 6)]  # at the ends of the epochs
    assert [row["learning_rate"] for row in curve] == pytest.approx(rates)


def test_sgd_steps_are_those_of_the_formula(tmp_path):
    """Two steps of one weight, by hand: momentum m, decay w, group factor 10."""
    network = nn.Sequential(*[nn.Identity() for _ in range(5)], nn.Linear(1, 1, bias=False))
    nn.init.constant_(network[5].weight, 2.0)

    class One:
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return torch.ones(1)

    groups = [ParameterGroup(network[5].parameters(), 10)]
    optimisation = Optimisation(epochs=2, batch_size=8, learning_rate=0.01, momentum=0.5, weight_decay=0.1)
    loss = lambda batch, epoch: {"loss": network(batch).sum()}  # noqa: E731
    fit(Task(network, One(), loss, groups), optimisation, PartialWork(tmp_path, "t", []), CPU)
    velocity = 1 + 0.1 * 2.0
    weight = 2.0 - 0.1 * velocity
    velocity = 0.5 * velocity + 1 + 0.1 * weight
    weight -= 0.1 * 0.5**0.9 * velocity
    assert math.isclose(network[5].weight.item(), weight, rel_tol=1e-6)


@pytest.mark.parametrize("optimisation", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_fused_steps_are_those_of_the_plain_optimiser(optimisation):
    """Also of convolutions whose weights lie channels-last, and with decay, momentum and a group's own factor."""
    results = []
    for fused in (True, False):
        network = make_network().eval().to(memory_format=torch.channels_last)
        groups = [ParameterGroup(network[0].parameters(), 1), ParameterGroup(network[5].parameters(), 10)]
        optimizer = loop._make_optimizer(groups, optimisation)
        if not fused:
            for group in optimizer.param_groups:
                group["fused"] = False
        for seed in range(4):
            torch.manual_seed(seed)
            optimizer.zero_grad()
            network(torch.randn(4, 3, 8, 8)).square().mean().backward()
            optimizer.step()
        results.append(network.state_dict())
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-7)


def test_bfloat16_is_close_resumes_to_the_byte_and_leaves_weights_in_float32(tmp_path):
    reduced = ADAMW.model_copy(update={"precision": "bfloat16"})
    exact, found = train(tmp_path / "exact", ADAMW), train(tmp_path / "reduced", reduced)
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in found[0].values())
    assert not torch.equal(found[0]["0.weight"], exact[0]["0.weight"])
    assert [row["loss"] for row in found[1]] == pytest.approx([row["loss"] for row in exact[1]], rel=0.05)
    with pytest.raises(Killed):
        train(tmp_path / "killed", reduced, kill_in_epoch=1)
    assert_same(found, train(tmp_path / "killed", reduced))


def test_what_is_not_in_a_group_or_frozen_does_not_change(tmp_path):
    network = make_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network[0].bias.requires_grad_(False)
    after, _ = train(tmp_path, network=network)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "0.weight" in changed and "5.weight" in changed
    assert not {"0.bias", "1.weight", "1.bias"} & changed


def test_no_samples_and_a_diverging_loss_are_sentences(tmp_path):
    with pytest.raises(UserError, match="no image to train on"):
        train(tmp_path, samples=NoisySamples(0))
    assert train(tmp_path, SGD.model_copy(update={"epochs": 0}), samples=NoisySamples(0))[1] == []
    with pytest.raises(UserError, match=r"loss is (nan|inf) at epoch 1; a lower 'optimisation.learning_rate'"):
        train(tmp_path, factor=float("inf"))


def test_processes_have_to_share_every_epochs_batches_equally(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "number_of_processes", lambda: 2)
    sizes = [4, 5, 4]
    groups = [ParameterGroup(make_network().parameters(), 1)]
    partial = PartialWork(tmp_path, "training", [])
    with pytest.raises(UserError, match="2 GPUs cannot share the 5 images of a step equally"):
        fit(Task(make_network(), NoisySamples(), None, groups, batch_size=sizes.__getitem__), SGD, partial, CPU)


def test_processes_share_each_part_of_a_step():
    """A list of a process has its samples of the first part, then of the next."""
    (whole,) = EpochBatches(13, lambda epoch: 12, seed=0)
    shares = [next(iter(EpochBatches(13, lambda epoch: 12, 0, process, 2, parts=3))) for process in (0, 1)]
    for part in range(3):
        assert [sample for share in shares for sample in share[2 * part : 2 * part + 2]] == whole[4 * part :][:4]
    assert next(iter(EpochBatches(13, lambda epoch: 12, 0, parts=3))) == whole


def test_fewer_samples_than_a_batch_make_one_batch(tmp_path):
    _, curve = train(tmp_path, samples=NoisySamples(3))
    assert len(curve) == 3


def test_seeds_are_unlike():
    seeds = {mix_seed(*numbers) for numbers in [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 0, 1), (0, 0, -1)]}
    assert len(seeds) == 7
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_curve_is_a_table_and_an_empty_one_has_a_header(tmp_path):
    write_curve([], tmp_path / "empty.csv")
    assert (tmp_path / "empty.csv").read_text() == "epoch,loss,learning_rate\n"
    write_curve([{"epoch": 1.0, "loss": 0.5, "learning_rate": 0.1}], tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text() == "epoch,loss,learning_rate\n1,0.5,0.1\n"
    rows = [{"epoch": 1.0, "loss": 0.5, "learning_rate": 0.1}, {"epoch": 2.0, "loss": 0.4, "late": 3.0}]
    write_curve([rows[0], {**rows[1], "learning_rate": 0.1}], tmp_path / "late.csv")
    assert (tmp_path / "late.csv").read_text() == "epoch,loss,late,learning_rate\n1,0.5,,0.1\n2,0.4,3.0,0.1\n"
