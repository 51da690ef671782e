import numpy as np

from benchmarks import cam_store as benchmark
from benchmarks.cam_store import ALTERNATIVES, alternative, main, one_round
from benchmarks.smooth_maps import make_cams
from tests.benchmarks.figures import figures

SMALL = ["--images", "2", "--height", "40", "--width", "60", "--rounds", "1"]


def test_prints_machine_sizes_and_figures(capsys, tmp_path):
    main([*SMALL, "--directory", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ")
    assert lines[1].startswith("2 images of 40x60, ")
    for name in ("np.save of dictionaries", "ours", "float16, shuffle, lzf, a map", "float32, none, a map"):
        assert any(line.startswith(f"| {name} | ") for line in lines), name
    ratio, deviation = figures(lines[-1])
    assert ratio > 1 and 0 < deviation < 2**-11
    assert not list(tmp_path.iterdir())


def test_all_ways_keep_the_maps(monkeypatch):
    images = [make_cams(seed, 40, 60) for seed in range(2)]
    for layout in ALTERNATIVES:
        found = one_round(alternative(layout), images, None)
        assert found.deviation == 0 if layout.dtype == "float32" else 0 < found.deviation < 2**-11
    way = benchmark.Way(benchmark.write_dictionaries, benchmark.read_dictionaries)
    assert one_round(way, images, None).deviation == 0


def test_maps_are_smooth_and_in_range():
    image = make_cams(3, 64, 96, classes=2)
    assert image.cam.shape == (2, 16, 24) and image.high_res.shape == (2, 64, 96)
    assert list(image.classes) == sorted(set(image.classes))
    for maps in (image.cam, image.high_res):
        assert maps.min() >= 0 and np.all(maps.max(axis=(1, 2)) > 0.999)
    assert np.abs(np.diff(image.high_res, axis=1)).max() < 0.2
