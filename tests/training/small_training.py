"""A training as a job, run as a script of its own: `small_training.py FOLDER GPUS '{"workers": 2, ...}'`.

With the option `"hold": [epoch, step]` (from 0) it says "holds" in the middle of this step, and stays there until there
is a file `go`. With `"hold": "before training"` it does so when its log has been set up.
"""

import json
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import wsss_core.jobs.job
from wsss_core.jobs import processes
from wsss_core.jobs.job import in_job
from wsss_core.jobs.run import PLACE
from wsss_core.training.task import Task

folder, gpus, options = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
if os.environ.get(PLACE, "").startswith(f"{options.get('dies')} "):
    os._exit(3)
processes._SECONDS_TO_HEAR = options.get("seconds_to_hear", processes._SECONDS_TO_HEAR)
record = wsss_core.jobs.job._record


def hold_if(place: Any) -> None:
    """Hold, if this is the place where a test says so."""
    if options.get("hold") == place:
        print("holds", flush=True)
        while not (folder / "go").exists():
            time.sleep(0.005)


def slow_record(*arguments: Any) -> None:
    time.sleep(options.get("slow_record", 0))
    record(*arguments)


wsss_core.jobs.job._record = slow_record
with in_job(folder / "log.txt", 2, {"stage": "test"}, folder, gpus):
    hold_if("before training")
    import torch
    from torch import nn
    from torch.nn import functional

    from wsss_core.config.training import Optimisation
    from wsss_core.errors import UserError
    from wsss_core.files.resume import PartialWork
    from wsss_core.networks.parameter_groups import ParameterGroup
    from wsss_core.networks.weights import save_weights
    from wsss_core.training.curve import write_curve
    from wsss_core.training.distributed import is_main_process, process_number
    from wsss_core.training.loop import fit

    IMAGES = 22

    class Samples:
        """Points on a line, with noise from torch's global generator."""

        def __len__(self) -> int:
            return IMAGES

        def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
            if index == options.get("broken"):
                raise UserError(f"image {index} is broken")
            if index == options.get("fault"):
                raise ValueError("no such image")
            noise = 0.1 * torch.randn(3, 8, 8, dtype=torch.float64)
            return torch.full((3, 8, 8), index / IMAGES, dtype=torch.float64) + noise, torch.tensor([index / IMAGES])

    def loss(batch: tuple[torch.Tensor, torch.Tensor], epoch: int) -> dict[str, torch.Tensor]:
        if process_number() == 0:
            steps[epoch] += 1
            hold_if([epoch, steps[epoch] - 1])
        time.sleep(options.get("pause", 0))
        images, values = batch
        error = functional.mse_loss(network(images), values.double())
        return {"loss": error * options.get("factor", 1.0), "error": error}

    steps: Counter[int] = Counter()
    torch.manual_seed(5)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.Dropout2d(options.get("dropout", 0.0)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 36, 1),
    )
    network.double().train()
    optimisation = Optimisation(epochs=3, batch_size=4, learning_rate=0.005, momentum=0.9, weight_decay=1e-3)
    groups = [ParameterGroup(network[0].parameters(), 1), ParameterGroup(network[5].parameters(), 2)]
    partial = PartialWork(folder, "training", [])
    size = options.get("batch_sizes", [4, 4, 4])
    place = torch.device("cpu")
    print(f"process {process_number()} trains", flush=True)
    if process_number() and "warning" in options:
        logging.getLogger("wsss_core.test").warning(options["warning"])
    task = Task(network, Samples(), loss, groups, "training", lambda epoch: size[epoch], options.get("parts", 1))
    curve = fit(task, optimisation, partial, place, options.get("workers", 0))
    if is_main_process():
        write_curve(curve, folder / "training.csv")
        save_weights(folder / "weights.safetensors", network, {})
        partial.finish(folder / "weights.safetensors", folder / "training.csv")
