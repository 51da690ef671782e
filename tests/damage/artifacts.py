"""A small artifact of every kind that the product reads again, and bytes of it that are changed at random."""

import collections
import json
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wsss_core.config.networks import Trunk
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.index import DatasetIndex, read_index, write_index
from wsss_core.datasets.label_maps import read_label_manifest, write_label_manifest
from wsss_core.datasets.palette import write_label_map
from wsss_core.errors import UserError
from wsss_core.evaluation.choose_threshold import choose_threshold, read_threshold
from wsss_core.evaluation.classifier_verdict import Verdict, read_verdict, write_verdict
from wsss_core.evaluation.score import score_cams, score_label_maps
from wsss_core.evaluation.score_file import read_curve, read_scores
from wsss_core.files.cam_store import CamStoreReader, write_cam_store
from wsss_core.files.climb_store import ImageClimb, read_climbs, write_climbs
from wsss_core.files.image_cams import ImageCams
from wsss_core.files.probability_store import read_probabilities, write_probabilities
from wsss_core.files.provenance import recorded_jobs
from wsss_core.files.record import read_record
from wsss_core.networks.classifier import ClassMapClassifier
from wsss_core.networks.classifier_files import load_classifier, save_classifier
from wsss_core.networks.weights import load_trunk
from wsss_core.report.classifier_scores import scored_classifiers
from wsss_core.training.checkpoint import Checkpoint, Position
from wsss_core.training.curve import write_curve

CLASSES = ("cat", "Hündin", "tv/monitor")
IDS = ("2007_000032", "a/b", "Ärger 1", "x")
SIZE = (12, 20)
TRUNK = Trunk(network="vgg16_small")


@dataclass(frozen=True)
class Kind:
    """A kind of artifact."""

    name: str
    write: Callable[[Path], object]
    """Makes a whole one, with what belongs to it beside it."""
    read: Callable[[Path], object]
    """Reads it as the product does; a fault of the file is a UserError, or means to begin again."""


def random_cams(image_id: str, number: int = 2, size: tuple[int, int] = SIZE) -> ImageCams:
    height, width = size
    values = np.random.default_rng(len(image_id)).random((number, height, width), dtype=np.float32)
    return ImageCams(image_id, np.arange(number, dtype=np.int16), values[:, ::4, ::4], values, height, width)


def write_cams(path: Path) -> None:
    write_cam_store(path, CLASSES, {"digest": "1f3c"}, map(random_cams, IDS))


def read_cams(path: Path) -> None:
    with CamStoreReader([path]) as reader:
        for image_id in reader.image_ids:
            reader.read(image_id).full_size()


def random_climb(image_id: str) -> ImageClimb:
    values = np.random.default_rng(3)
    maps, scores = values.random((2, 3, 3, 5), dtype=np.float32), values.random((2, 3), dtype=np.float32)
    images = values.integers(0, 255, (2, 3, 6, 10, 3)).astype(np.uint8)
    return ImageClimb(image_id, np.array([0, 2], np.int16), maps, scores, images, *SIZE)


def write_probability_file(path: Path) -> None:
    values = np.random.default_rng(4).random((len(CLASSES) + 1, *SIZE))
    write_probabilities(path, ("background", *CLASSES), [(name, values / values.sum(axis=0)) for name in IDS])


def read_probability_file(path: Path) -> None:
    for image_id in IDS:
        read_probabilities(path, image_id)


def index() -> DatasetIndex:
    columns = {
        "image_id": list(IDS),
        "split": ["train", "train", "val", "val"],
        "image": [f"images/{name}.jpg" for name in IDS],
        "height": [SIZE[0]] * 4,
        "width": [SIZE[1]] * 4,
        "labels": ["cat", "cat;Hündin", "", "tv/monitor"],
    }
    return DatasetIndex(CLASSES, columns)


def write_indices(path: Path) -> None:
    """An index and its classes, of which the one called ``path`` is damaged."""
    other = path.with_name(f"other-{path.name}")
    write_index(index(), *((path, other) if path.suffix == ".csv" else (other, path)))


def read_indices(path: Path) -> None:
    other = path.with_name(f"other-{path.name}")
    read = read_index(*((path, other) if path.suffix == ".csv" else (other, path)))
    assert len(read.label_matrix) == len(read.image_paths) == len(read.sizes)


def write_labels(path: Path) -> None:
    label_maps = {name: Path("labels", f"{number}.png") for number, name in enumerate(IDS)}
    for number, label_map in enumerate(label_maps.values()):
        write_label_map(path.parent / label_map, np.full(SIZE, number, np.uint8))
    write_label_manifest(label_maps, path)


def read_labels(path: Path) -> None:
    score_label_maps(read_label_manifest([path]), {}, CLASSES, path.with_name("scores-of-labels.csv"))
    for label_map in read_label_manifest([path]).values():
        read_mask(label_map)


def write_scores(path: Path) -> None:
    masks = {name: path.with_name(f"mask-{number}.png") for number, name in enumerate(IDS)}
    for mask in masks.values():
        write_label_map(mask, np.eye(*SIZE, dtype=np.uint8))
    cams = path.with_name("cams-of-scores.h5")
    write_cams(cams)
    with CamStoreReader([cams]) as reader:
        score_cams(reader, masks, path, conditions={"background": "x"})


def read_all_scores(path: Path) -> None:
    choose_threshold(path, path.with_name("chosen.json"), "the best")
    read_scores(path, thresholds=True)


def write_threshold(path: Path) -> None:
    path.write_text(json.dumps({"threshold": 0.3, "source": "best", "miou": 0.5, "images": 7}))


def write_judged(path: Path) -> None:
    row = "0.5000,0.2500,0.5000,0.4000,"
    rows = [f"{name},{row}0.3000,5" for name in ("", *CLASSES)]
    path.write_text("\n".join(["class,average_precision,chance,f1,precision,recall,positive_images", *rows, ""]))
    write_verdict(Verdict("ordinary", "little", "It has.", ("more",), ("cat",)), path.with_name("judged.json"))


def read_judged(path: Path) -> None:
    verdict = str(path.with_name("judged.json"))
    scored_classifiers([{"variant": "ordinary", "scores": str(path), "verdict": verdict}])


def write_a_verdict(path: Path) -> None:
    write_verdict(Verdict("ordinary", "little", "It has.", ("more",), ("cat",)), path)


def checkpoint(path: Path) -> Checkpoint:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    network(torch.ones(3)).sum().backward()
    optimizer.step()
    return Checkpoint(path, network, optimizer, torch.device("cpu"))


def read_checkpoint(path: Path) -> None:
    """A damaged checkpoint is as none: nothing of it gets into the training."""
    begun = checkpoint(path)
    before, generator = [tensor.clone() for tensor in begun.network.state_dict().values()], torch.get_rng_state()
    if begun.load([5, 5, 5]) == Position():
        assert all(map(torch.equal, before, begun.network.state_dict().values()))
        assert torch.equal(generator, torch.get_rng_state())


def write_classifier(path: Path) -> None:
    torch.manual_seed(1)
    save_classifier(path, ClassMapClassifier(TRUNK, CLASSES))


def read_classifier(path: Path) -> None:
    trunk = load_classifier(path, classes=CLASSES).trunk
    load_trunk(path, trunk)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("cams.h5", write_cams, read_cams),
        Kind("climbs.h5", lambda path: write_climbs(path, CLASSES, {}, map(random_climb, IDS)), read_climbs),
        Kind("probabilities.h5", write_probability_file, read_probability_file),
        Kind("weights.safetensors", write_classifier, read_classifier),
        Kind("checkpoint.pt", lambda path: checkpoint(path).save(Position([{"loss": 1.0}], 3)), read_checkpoint),
        Kind("index.csv", write_indices, read_indices),
        Kind("classes.json", write_indices, read_indices),
        Kind("label_maps.csv", write_labels, read_labels),
        Kind("label_map.png", lambda path: write_label_map(path, np.eye(*SIZE, dtype=np.uint8)), read_mask),
        Kind("scores.csv", write_scores, read_all_scores),
        Kind("training.csv", lambda path: write_curve([{"epoch": 1, "loss": 2, "learning_rate": 1}], path), read_curve),
        Kind("classifier_scores.csv", write_judged, read_judged),
        Kind("verdict.json", write_a_verdict, read_verdict),
        Kind("threshold.json", write_threshold, read_threshold),
        Kind(
            "provenance.json",
            lambda path: path.write_text('{"jobs": {"a": {"seconds": 3, "device": "CPU (x)"}}}'),
            recorded_jobs,
        ),
        Kind("finished.txt", lambda path: path.write_text("a\nb\nÄ\n"), read_record),
    )
}


def damaged(whole: bytes, dice: random.Random) -> bytes:
    """The bytes of a file after one to ten accidents."""
    data = bytearray(whole)
    for _ in range(dice.choice([1, 1, 2, 10])):
        # Metadata lies at the beginning or the end of most files, and is soon missed among large arrays.
        reach = dice.choice([len(data), 200, 3000])
        at = dice.randrange(min(len(data), reach) or 1)
        if dice.random() < 0.3:
            at = max(0, len(data) - 1 - at)
        length = dice.choice([1, 1, 4, 8, 64])
        match dice.randrange(7):
            case 0 | 1:
                data[at : at + length] = dice.randbytes(len(data[at : at + length]))
            case 2:
                data[at : at + length] = bytes(len(data[at : at + length]))
            case 3:
                data[at : at + length] = b"\xff" * len(data[at : at + length])
            case 4:
                del data[at:]
            case 5:
                del data[at : at + length]
            case 6:
                data[at:at] = data[at : at + length] if dice.random() < 0.5 else dice.randbytes(length)
    return bytes(data)


def outcomes(kind: Kind, folder: Path, seed: int, count: int) -> Iterator[str]:
    """Read damaged files of a kind: ``read``, ``refused``, or where the program failed and why."""
    file = folder / kind.name
    kind.write(file)
    whole = file.read_bytes()
    kind.read(file)
    for number in range(count):
        yield f"trying {number}"  # so that one that is never read to its end is known
        file.write_bytes(damaged(whole, random.Random(f"{seed} {kind.name} {number}")))
        try:
            kind.read(file)
            yield "read"
        except UserError as error:
            named = kind.name in str(error) or " mask" in str(error)  # a list's label maps are read, too
            yield "refused" if named else f"change {number}: names no file: {error}"
        except Exception as error:
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "wsss_core" in frame.filename]
            yield f"change {number}: {frames[-1:]}: {type(error).__name__}: {error}"


if __name__ == "__main__":  # python -m tests.damage.artifacts KIND SEED COUNT FOLDER
    import logging
    import signal

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    name, seed, count, folder = sys.argv[1:]
    seen: collections.Counter[str] = collections.Counter()
    for outcome in outcomes(KINDS[name], Path(folder), int(seed), int(count)):
        # So much processor time for one file ends the process: nothing in Python could.
        signal.setitimer(signal.ITIMER_PROF, 60)
        seen[outcome.split()[0]] += 1
        print(outcome, flush=True)
    print(dict(seen), file=sys.stderr)
