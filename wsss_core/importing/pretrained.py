"""Converts other programs' weights into files of this workflow.

The command is ``python -m wsss_core import-weights``; docs/pretrained.md describes the formats.
"""

import os
import runpy
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn

from wsss_core.config.class_names import VOC_CLASSES
from wsss_core.config.trained_on import TRAINED_ON as TRAINED_ON_KEY
from wsss_core.errors import UserError
from wsss_core.files.atomic import atomic_path
from wsss_core.importing.authors_files import read_checkpoint, read_mxnet_checkpoint
from wsss_core.importing.authors_formats import FORMATS
from wsss_core.importing.clip_names import clip_tower
from wsss_core.importing.targets import COUNTER, Target
from wsss_core.networks.weights import describe_further

TRAINED_ON = {"torchvision": "ImageNet", "mxnet-params": "ImageNet"}
"""The training data of formats whose files always have the same."""
_NAMES_IN_A_SENTENCE = 5


def import_weights(
    form: str,
    source: Path | str,
    target: Path | str,
    classes: Sequence[str] | None = None,
    trained_on: str | None = None,
) -> int:
    """Convert a file of another program's weights into one of this workflow; equal input gives equal bytes.

    Args:
        form: a key of ``FORMATS``.
        source: the file to read: from ``torch.save``, a .safetensors file, or for ``mxnet-params`` one of MXNet.
        target: the .safetensors file to write, or overwrite, atomically.
        classes: names of the classes in the order of the network's last layer; by default PASCAL VOC's, if their number
            fits. Not for networks without classes.
        trained_on: the data that the weights were trained on, in words, for logs and tables of scores; by default that
            of the format in ``TRAINED_ON``.

    Returns:
        Number of weights in the file.

    Raises:
        UserError: ``source`` is missing, damaged or for another network than ``form``, ``classes`` do not fit,
            ``target`` cannot be written, or ``trained_on`` is needed: DeepLab's weights exist for ImageNet and COCO.
    """
    if form not in FORMATS:
        raise UserError(f"there is no format '{form}'; use one of {', '.join(FORMATS)}")
    if Path(target).suffix != ".safetensors":
        raise UserError(f"{target}: the name of the file to write has to end in .safetensors")
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target):
        raise UserError(f"{target}: is also the file to read; give the file to write another name")
    state = read_mxnet_checkpoint(source) if form == "mxnet-params" else read_checkpoint(source)
    if form == "deeplab-pytorch":  # the network within the authors' multi-scale network is called 'base'
        state = {name.removeprefix("base."): tensor for name, tensor in state.items()}
    if form == "clip":
        state = clip_tower(state, source)
    chosen = FORMATS[form](state, source)
    state = {**state, **chosen.added(state)}
    with torch.device("meta"):  # no memory or random weights are needed until the file is known to fit
        network = chosen.build(_classes(chosen, state, source, classes))
    _fill(network, chosen, state, source)
    trained_on = trained_on or TRAINED_ON.get(form)
    if trained_on is None and form == "deeplab-pytorch":
        raise UserError(
            f"{source}: say with --trained-on what the weights were trained on, such as 'ImageNet, COCO': scores of "
            "segmenters that start from COCO are not comparable with others, and are marked"
        )
    try:
        with atomic_path(target) as temporary:
            chosen.save(temporary, network)
            if trained_on is not None:
                describe_further(temporary, **{TRAINED_ON_KEY: trained_on})
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from error
    except safetensors.SafetensorError as error:  # such as a full disk
        raise UserError(f"{target}: cannot be written ({error})") from error
    return sum(weight.numel() for weight in network.parameters())


def read_classes(text: str) -> tuple[str, ...]:
    """Names of classes from the command line.

    Args:
        text: the names with commas between them, or the path of a text file with a name on each line.

    Raises:
        UserError: a name is empty or occurs twice, or the file cannot be read.
    """
    names = text.split(",")
    if os.path.isfile(text):
        try:
            names = Path(text).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{text}: is not a readable text file of class names ({error})") from error
    stripped = [name.strip() for name in names]
    if any(not name for name in stripped) or len(set(stripped)) != len(stripped):
        raise UserError(f"--classes {text}: a name is empty or occurs twice")
    return tuple(stripped)


def _classes(
    chosen: Target, state: Mapping[str, Tensor], path: Path | str, given: Sequence[str] | None
) -> Sequence[str]:
    """The names of the classes of the file's network."""
    if chosen.head is None:
        if given is not None:
            raise UserError(f"{path}: the {chosen.what} has no classes; leave --classes out")
        return ()
    head = state.get(chosen.head)
    if head is None or head.dim() == 0:
        return VOC_CLASSES  # any will do: an error about the head follows
    count = len(head) - chosen.background
    if given is None and count == len(VOC_CLASSES):
        return VOC_CLASSES
    if given is None:
        raise UserError(
            f"{path}: {chosen.head} has {count} classes, not PASCAL VOC's {len(VOC_CLASSES)}; name them with "
            "--classes, in their order"
        )
    if len(given) != count:
        raise UserError(f"{path}: {chosen.head} has {count} classes, but --classes names {len(given)}")
    return given


def _fill(network: nn.Module, chosen: Target, state: Mapping[str, Tensor], path: Path | str) -> None:
    """Load the weights in ``state`` into ``network``, which is on the ``meta`` device.

    Raises:
        UserError: some are missing, left over, of another shape or not finite; the message uses the file's names.
    """
    own = network.state_dict()
    theirs = {name: chosen.naming(name) for name in own}
    absent = {name for name in own if theirs[name] not in state}
    counters = {name for name in absent if name.endswith(COUNTER)}
    there = [name for name in own if name not in absent]
    used = set(theirs.values())
    faults = []
    if missing := [theirs[name] for name in own if name in absent - counters]:
        faults.append(f"lacks {_some(missing)}")
    if misshaped := [name for name in there if own[name].shape != state[theirs[name]].shape]:
        shapes = [f"{theirs[name]} {list(state[theirs[name]].shape)} for {list(own[name].shape)}" for name in misshaped]
        faults.append(f"has {_some(shapes)}")
    if foreign := [name for name in state if name not in used and not chosen.dropped(name)]:
        faults.append(f"has {_some(foreign)}, which do not belong there")
    if faults:
        raise UserError(f"{path}: does not fit the {chosen.what}: it {'; it '.join(faults)}")
    if broken := [theirs[name] for name in there if not state[theirs[name]].isfinite().all()]:
        raise UserError(f"{path}: is damaged: values of {_some(broken)} are not finite")
    network.to_empty(device="cpu")
    weights = {name: state[theirs[name]] for name in there}
    network.load_state_dict(weights | {name: torch.tensor(0) for name in counters})


def _some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    more = len(names) - _NAMES_IN_A_SENTENCE
    return ", ".join(names[:_NAMES_IN_A_SENTENCE]) + (f" and {more} more" if more > 0 else "")


if __name__ == "__main__":  # the former name of the command
    new = "python -m wsss_core import-weights"
    print(f"python -m {__spec__.name} import is now `{new}`; the old name goes with the next release", file=sys.stderr)
    if sys.argv[1:2] == ["import"]:
        del sys.argv[1]
    sys.argv.insert(1, "import-weights")
    runpy.run_module("wsss_core", run_name="__main__")
