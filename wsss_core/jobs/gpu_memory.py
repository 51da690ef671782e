"""What a job does and reports when a GPU's memory is full."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsss_core.errors import UserError

OUT_OF_MEMORY = "out of GPU memory"
"""The start of the message of a job that failed because of this."""
ALLOCATOR_VARIABLES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
"""Torch's older and newer name of the same environment variable."""
_IN_LIBRARIES = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
_TRAINING = (
    "'runtime: {recompute: [RULE]}' (the same results, more slowly), 'optimisation: {precision: bfloat16}', a smaller "
    "'augmentation.crop' or a smaller 'optimisation.batch_size'"
)
_IMAGE = "'arithmetic: bfloat16', or smaller 'scales': a single image is too large"
_LARGE_IMAGES = "a 'long_side' of the data set, which shrinks its images: a single image is too large"
REMEDIES = {
    "prepare_backbone": "a smaller 'pretext.optimisation.batch_size' or 'pretext.size'",
    "train_classifier": f"{_TRAINING} (AEFT's second phase: 'triplet_batch_size')",
    "score_classifier": _LARGE_IMAGES,
    "generate_cams": _IMAGE,
    "record_climb": _IMAGE,
    "score_climb": _IMAGE,
    "record_erasing": _LARGE_IMAGES,
    "train_affinity": f"{_TRAINING}, or a smaller 'radius'",
    "spread_cams": _LARGE_IMAGES,
    "train_segmenter": f"a larger 'optimisation.accumulate' (the same step in more parts), {_TRAINING}",
    "predict": _IMAGE,
    "predict_with_probabilities": _IMAGE,
    "predict_test": _IMAGE,
}
"""By rule, what needs less memory; what changes results least comes first."""
log = logging.getLogger(__name__)


def is_full(error: BaseException) -> bool:
    """Whether an error says that a GPU's memory is full; libraries say so in different words."""
    # By the class's name: the caller may not have imported torch.
    return type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in _IN_LIBRARIES)


def let_memory_grow() -> None:
    """Let torch's memory grow in place, so that none stays unused between blocks of other sizes. Before torch is used.

    What the user set in ``PYTORCH_CUDA_ALLOC_CONF`` stays.
    """
    if not any(name in os.environ for name in ALLOCATOR_VARIABLES):
        os.environ[ALLOCATOR_VARIABLES[0]] = "expandable_segments:True"


@contextmanager
def full_memory_explained(rule: str) -> Iterator[None]:
    """If the body fails because a GPU's memory is full, raise a sentence that says what to lower.

    Args:
        rule: the rule of the job.

    Raises:
        UserError: the memory was full.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        remedy = REMEDIES.get(rule, "less at once").replace("RULE", rule)
        raise UserError(
            f"{OUT_OF_MEMORY} ({_facts(error)}). More 'mem_mb' does not help. What helps: a GPU with more memory, one "
            f"that nobody else uses, or {remedy}"
        ) from error


def gpu_memory_was_full(log_file: Path) -> bool:
    """Whether a job's log ends with that message."""
    with suppress(OSError):
        return any(OUT_OF_MEMORY in line for line in log_file.read_text(errors="replace").splitlines()[-3:])
    return False


def _facts(error: BaseException) -> str:
    """How much was needed and how much there was: the start of torch's message."""
    sentences = str(error).splitlines()[0].split(". ")
    return ". ".join(sentences[:3]).rstrip(".")
