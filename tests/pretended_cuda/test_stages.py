"""Every stage on the pretended device makes what it makes on the CPU, and waits for the device where it is known to."""

import json

import pytest

from .compared import largest_deviations
from .machine import pretended_cuda
from .stages import STAGES, Place
from .waits import RECORD, in_words

FLOAT32 = 1e-4
"""CPUs fuse convolutions where GPUs do not; all else is the same to the bit."""
STORED = 2**-11
"""Class maps are stored as float16: where they are rounded otherwise, by at most a step of those below 1."""
BFLOAT16 = 0.1
"""The two lists of autocast differ, and rounding to 8 bits grows in two epochs."""
DECIDED_ON_THE_HOST = [
    "segmentation/perturbations.py, cut_out: for image, mask in enumerate(objects.cpu().numpy()):: copied to the host"
]
"""What a step waits for by design: SciPy finds the objects whose parts are cut out."""
WAITS = json.loads(RECORD.read_text())


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_makes_on_the_device_what_it_makes_on_the_cpu(name, inputs, tmp_path):
    STAGES[name](Place(tmp_path / "cpu", inputs, "cpu"))
    with pretended_cuda() as seen:
        STAGES[name](Place(tmp_path / "cuda", inputs, "cuda"))
    computed = seen.operations["convolution"] + seen.operations["addcmul_"]
    assert (computed > 0) == (name != "classifier clip")  # it was computed there, if anything was
    in_bfloat16 = any(part in name for part in ("bfloat16", "all classes", "disjoint", "border pairs"))
    in_bfloat16 |= any(part in name for part in ("boundaries", "v3plus", "unlabelled", "after resizing", "backbone"))
    deviations = largest_deviations(tmp_path / "cpu", tmp_path / "cuda")
    assert deviations
    allowed = BFLOAT16 if in_bfloat16 else STORED if name.startswith(("cams ", "walk ")) else FLOAT32
    assert {file: deviation for file, deviation in deviations.items() if not deviation <= allowed} == {}

    allowed = DECIDED_ON_THE_HOST if "consistency" in name else []
    assert seen.waits_within("training/loop.py, _step") == allowed
    # `python -m tests.pretended_cuda.waits` records them again.
    assert in_words(seen) == WAITS[name]
