"""Loading processes that fail: a sentence, and none is left behind."""

import gc
import logging
import multiprocessing
import os
import signal
import time

import pytest
import torch

from wsss_core.errors import UserError
from wsss_core.training import loading
from wsss_core.training.loading import loader_of

CPU = torch.device("cpu")


class Samples(torch.utils.data.Dataset):
    """Numbers; what is given for a position is called in its place."""

    def __init__(self, **special):
        self.special = {int(name.removeprefix("at")): call for name, call in special.items()}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return self.special[index]() if index in self.special else torch.tensor(float(index))


class NotSendable(str):
    """Pickled when the process hands a batch over, where Python drops what fails."""

    def __reduce__(self):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_7_8>: No space left on device (28)")


def user_error():
    raise UserError("image 5: is damaged")


def disk_error():
    raise OSError(5, "Input/output error")


def load(samples, workers=2):
    with loader_of(samples, workers, CPU, batch_size=2) as loader:
        return [batch.tolist() for _ in range(2) for batch in loader]


def test_batches_come_in_order_from_one_set_of_processes_in_every_pass():
    assert load(Samples()) == load(Samples(), workers=0) == 2 * [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_for_the_user_is_its_sentence(workers):
    with pytest.raises(UserError) as reported:
        load(Samples(at5=user_error), workers)
    assert str(reported.value) == "image 5: is damaged"


def test_another_error_keeps_its_traceback():
    with pytest.raises(OSError, match=r"(?s)Caught OSError in DataLoader worker.*in disk_error"):
        load(Samples(at5=disk_error))


@pytest.mark.parametrize("call", [lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_a_process_that_dies_is_reported(call):
    with pytest.raises(UserError, match=r"a process that loads images died .* too little memory: more 'mem_mb' helps"):
        load(Samples(at3=call))
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_while_it_hands_over_a_batch_is_reported(monkeypatch):
    def reset(*arguments):
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr("torch.utils.data.dataloader._MultiProcessingDataLoaderIter._next_data", reset)
    with pytest.raises(UserError, match=r"a process that loads images died .*Connection reset by peer"):
        load(Samples())
    assert multiprocessing.active_children() == []


def test_killed_by_a_page_of_shared_memory_that_is_not_there():
    with pytest.raises(UserError, match=r"too little shared memory \(/dev/shm has .*--shm-size.*runtime\.workers"):
        load(Samples(at3=lambda: os.kill(os.getpid(), signal.SIGBUS)))


def test_a_batch_that_cannot_be_handed_over_ends_the_process(tmp_path):
    handler = logging.FileHandler(tmp_path / "log.txt")
    logging.getLogger().addHandler(handler)
    with pytest.raises(UserError, match="a process that loads images died"):
        load(Samples(at2=lambda: NotSendable("x"), at3=lambda: NotSendable("x")), 1)
    logging.getLogger().removeHandler(handler)
    assert "cannot be handed over: there is too little shared memory" in (tmp_path / "log.txt").read_text()


def test_no_process_outlives_a_failure_of_the_body(monkeypatch):
    """They ignore SIGTERM, the error holds the loader, and one is in the middle of a long sample."""
    monkeypatch.setattr(loading, "_PATIENCE", 0.3)
    gc.disable()
    try:
        begun = time.monotonic()
        with (
            pytest.raises(ZeroDivisionError),
            loader_of(Samples(at2=lambda: time.sleep(60)), 2, CPU, batch_size=2) as loader,
        ):
            next(iter(loader))
            1 / 0  # noqa: B018
        assert multiprocessing.active_children() == [] and time.monotonic() - begun < 20
    finally:
        gc.enable()


def test_no_room_for_locks_is_reported(monkeypatch):
    def no_space(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.utils.data.DataLoader, "_get_iterator", no_space)
    with pytest.raises(UserError, match=r"processes cannot be started: there is too little shared memory .*--shm-size"):
        load(Samples())
