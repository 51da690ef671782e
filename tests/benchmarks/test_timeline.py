import re

import pytest

from benchmarks.spans import Span
from benchmarks.timeline import as_text, busy_seconds, main, waits_of_network

TINY = ["--images", "3", "--height", "40", "--width", "56", "--network", "resnet_small", "--stride", "8"]
SPANS = [
    Span("network", "a", 11.0, 12.0),
    Span("read", "b", 10.0, 12.0),
    Span("network", "a", 13.5, 15.0),
    Span("read", "b", 11.0, 13.0),
]


def test_shares_of_the_time():
    assert busy_seconds(SPANS, 10, 15) == 4.5
    assert busy_seconds(SPANS, 12.5, 14) == 1
    assert waits_of_network(SPANS) == (2.5 / 4, 1.5)
    read, network = as_text(SPANS).splitlines()
    assert read.endswith(f"read (b) |{'#' * 60}{' ' * 40}|  60%")
    assert network.endswith(f"network (a) |{' ' * 20}{'#' * 20}{' ' * 30}{'#' * 30}|  50%")


@pytest.mark.parametrize(
    ("stage", "further", "kinds"),
    [
        ("predictions", ["--no-crf", "--keep"], {"read", "network", "write"}),
        ("cams", ["--scales", "0.5", "1.0"], {"read", "network", "write"}),
    ],
)
def test_draws_a_line_for_each_thread(tmp_path, capsys, stage, further, kinds):
    main([stage, *TINY, "--threads", "1", "--svg", str(tmp_path / "timeline.svg"), *further])
    heading, sizes, *rows, last = capsys.readouterr().out.splitlines()
    assert heading.startswith("machine: ") and sizes.startswith(f"{stage}: 3 images of 40x56")
    assert {row.split()[0] for row in rows} == kinds
    assert re.fullmatch(r"busy=[01]\.\d+ longest_wait=\d+\.\d+", last)
    assert "</svg>" in (tmp_path / "timeline.svg").read_text()


def test_worker_processes_are_drawn_too(capsys):
    pytest.importorskip("pydensecrf")
    main(["predictions", *TINY, "--threads", "2"])
    assert re.search(r"CRF \(process \d+\)", capsys.readouterr().out)
