import os
import time

import numpy as np
import pytest

from tests.refinement.tiny_data import LABELS, SIZES, SMALL_CRF, FakeCams, true_labels, write_images
from wsss_core.config.background import BackgroundScore
from wsss_core.config.refinement import AffinityLabels
from wsss_core.datasets.images import read_mask
from wsss_core.datasets.label_maps import read_label_manifest
from wsss_core.errors import UserError
from wsss_core.jobs.run import Run
from wsss_core.refinement.affinity_labels import make_affinity_labels
from wsss_core.refinement.refined_seeds import refine_seeds

PARAMETERS = AffinityLabels(
    foreground=BackgroundScore(threshold=0.3), background=BackgroundScore(threshold=0.2), crf=SMALL_CRF
)


def make(folder, index, cams, threads=1):
    manifests = [folder / name / "000-of-001.csv" for name in ("confident", "refined_seeds")]
    refine_seeds(BackgroundScore(threshold=0.25), SMALL_CRF, index, cams, manifests[1], run=Run(threads=threads))
    make_affinity_labels(PARAMETERS, 0.25, index, cams, manifests[0], run=Run(threads=threads))
    return [
        {image_id: read_mask(path) for image_id, path in read_label_manifest([manifest]).items()}
        for manifest in manifests
    ]


def test_maps_follow_the_objects(tmp_path):
    index = write_images(tmp_path / "images")
    confident, refined = make(tmp_path / "artifact", index, FakeCams())
    assert list(confident) == list(refined) == list(LABELS)
    for image_id, size in SIZES.items():
        truth = true_labels(image_id)
        assert refined[image_id].shape == confident[image_id].shape == size
        assert set(np.unique(refined[image_id])) <= set(np.unique(truth))
        assert (refined[image_id] == truth).mean() > 0.97
        sure = confident[image_id] != 255
        assert sure.mean() > 0.6
        assert (confident[image_id] == truth)[sure].mean() > 0.97
    assert not confident["none"].any()


def test_two_processes_make_the_same(tmp_path):
    index = write_images(tmp_path / "images")
    one, two = (make(tmp_path / f"artifact{n}", index, FakeCams(), n) for n in (1, 2))
    for first, second in zip(one, two, strict=True):
        for image_id in SIZES:
            np.testing.assert_array_equal(first[image_id], second[image_id])


def test_goes_on_where_it_was(tmp_path):
    index = write_images(tmp_path / "images")
    broken = FakeCams()
    damaged = index.image_paths[2].read_bytes()
    index.image_paths[2].write_bytes(b"")
    with pytest.raises(UserError, match=r"none\.png"):
        make(tmp_path / "artifact", index, broken)
    first = tmp_path / "artifact" / "refined_seeds" / "one.png"
    written = os.stat(first).st_mtime_ns
    index.image_paths[2].write_bytes(damaged)
    time.sleep(0.01)
    whole = FakeCams()
    make(tmp_path / "artifact", index, whole)
    assert whole.reads == ["none", *SIZES]
    assert os.stat(first).st_mtime_ns == written
