import subprocess
import sys

import numpy as np

from wsss_core.files.cam_store import CamStoreReader, ImageCams, write_cam_store
from wsss_core.files.notebook import FIRST_IMAGES

CLASSES = ("cat", "<dog> & co")


def cams(image_id, classes=(0, 1)):
    values = np.linspace(0, 1, 30, dtype=np.float32).reshape(1, 6, 5).repeat(len(classes), 0)
    return ImageCams(image_id, np.array(classes, np.int16), values, None, 24, 20)


def test_maps_draw_themselves_and_name_their_classes(tmp_path):
    write_cam_store(tmp_path / "0.h5", CLASSES, {}, [cams("a")])
    with CamStoreReader([tmp_path / "0.h5"]) as store:
        drawn = store.read("a")._repr_html_()
    assert drawn.count('<img src="data:image/png;base64,') == 2
    assert "<figcaption>cat</figcaption>" in drawn and "<figcaption>&lt;dog&gt; &amp; co</figcaption>" in drawn
    assert 'width="160" height="192"' in drawn and "<dog>" not in drawn


def test_maps_without_a_file_or_a_class_draw_themselves_too():
    assert "<figcaption>class 1</figcaption>" in cams("a", (1,))._repr_html_()
    assert "It has no class." in cams("a", ())._repr_html_()


def test_a_store_says_what_it_holds_and_draws_the_first_images(tmp_path):
    write_cam_store(tmp_path / "0.h5", CLASSES, {}, [cams(f"image_{k}", (0,)) for k in range(FIRST_IMAGES + 3)])
    with CamStoreReader([tmp_path / "0.h5"]) as store:
        drawn = store._repr_html_()
    assert f"Class maps of {FIRST_IMAGES + 3} images" in drawn and "and 3 more images" in drawn
    assert drawn.count("<img ") == FIRST_IMAGES and "0.h5" in drawn


def test_reading_maps_imports_nothing_that_draws():
    code = "import sys, wsss_core.files.cam_store; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, check=True).stdout.split()
    assert not {"PIL", "matplotlib", "wsss_core.files.notebook"} & set(modules)
