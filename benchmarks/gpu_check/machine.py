"""Prints facts about the machine as JSON: ``python -m benchmarks.gpu_check.machine cuda``.

This is a separate process, so that the process that starts the parts uses no memory of the GPU.
"""

import json
import platform
import sys
from datetime import datetime

import torch
import torchvision

from benchmarks.all import commit
from benchmarks.tables import machine


def facts(device: str) -> dict[str, str]:
    """The device's name as ``device``, and everything else that affects the figures."""
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "Python": platform.python_version()}
    others = {**versions, "commit": commit(), "on": f"{datetime.now():%d %B %Y %H:%M}"}
    if device == "cpu":
        return {"device": machine(), **others}
    card = torch.cuda.get_device_properties(0)
    of_card = {"GiB": f"{card.total_memory / 2**30:.0f}", "capability": f"{card.major}.{card.minor}"}
    of_cuda = {"CUDA": str(torch.version.cuda), "cuDNN": str(torch.backends.cudnn.version())}
    return {"device": card.name, **of_card, "beside": machine(), **of_cuda, **others}


if __name__ == "__main__":
    if sys.argv[1] == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device on this machine; use --device cpu to test the check itself")
    print(json.dumps(facts(sys.argv[1])))
