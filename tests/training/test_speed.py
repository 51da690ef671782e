import logging

from tests.training.test_loop import train
from wsss_core.jobs.measured import forget_figures, record_figure, recorded_figures
from wsss_core.training import speed
from wsss_core.training.speed import Speed


def test_the_first_two_steps_do_not_count(monkeypatch):
    times = iter([100.0, 150.0, 152.0, 154.0])
    monkeypatch.setattr(speed.time, "monotonic", lambda: next(times))
    counted = Speed()
    for _ in range(2):
        counted.step(8)
        assert counted.images_per_second is None and str(counted) == ""
    counted.step(8)
    counted.step(4)
    assert counted.images_per_second == 12 / 4
    assert str(counted) == "3.0 images a second"


def test_a_training_reports_its_speed_and_the_curve_does_not(tmp_path, caplog):
    forget_figures()
    with caplog.at_level(logging.INFO):
        _, curve = train(tmp_path)
    assert list(curve[0]) == ["epoch", "loss", "error", "learning_rate"]
    rate = recorded_figures()["images_per_second"]
    assert rate > 0
    lines = [line for line in caplog.messages if "images a second" in line]
    assert any("epoch 3, " in line and line.endswith(" images a second") for line in lines)


def test_a_job_begins_without_figures():
    forget_figures()  # those of the tests before
    record_figure("images_per_second", 3.0)
    record_figure("images_per_second", 4.0)
    assert recorded_figures() == {"images_per_second": 4.0}
    forget_figures()
    assert recorded_figures() == {}
