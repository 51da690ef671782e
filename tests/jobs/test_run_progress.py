"""One line about a run: what runs, how far it is, how long it still takes."""

import io
import logging

import pytest

import wsss_core.jobs.run_progress as run_progress
from wsss_core.jobs.run_progress import show_one_line

STATS = {"train_segmenter": 2, "predict": 8, "total": 10}


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(run_progress, "time", clock)
    return clock


@pytest.fixture
def logger():
    logger = logging.Logger("of Snakemake")
    logger.setLevel("INFO")
    handler = logging.StreamHandler(io.StringIO())
    handler.name = "DefaultStreamHandler"
    logger.addHandler(handler)
    return logger


def written(logger):
    return next(handler for handler in logger.handlers if handler.name == "DefaultStreamHandler").stream.getvalue()


def begin(logger, number, rule, output):
    logger.info("", extra={"event": "job_info", "jobid": number, "rule_name": rule, "output": [output]})


def finish(logger, number):
    logger.info("", extra={"event": "job_finished", "job_id": number})


def test_the_line_says_what_runs_how_far_and_how_long_still(logger, clock):
    line = show_one_line(logger, STATS, io.StringIO())
    begin(logger, 1, "train_segmenter", "results/a/segmenter/deeplab-0123456789/weights.safetensors")
    assert line.text() == "0 of 10 jobs, 0 s: train segmenter (deeplab)"
    clock.now += 60
    finish(logger, 1)
    begin(logger, 2, "train_segmenter", "results/a/segmenter/full-0123456789/weights.safetensors")
    clock.now += 60
    finish(logger, 2)
    begin(logger, 3, "predict", "results/a/predictions/full-0123456789/labels/000-of-001.csv")
    clock.now += 5
    finish(logger, 3)
    begin(logger, 4, "predict", "results/a/predictions/deeplab-0123456789/labels/000-of-001.csv")
    assert line.text() == "3 of 10 jobs, 2 min 5 s, about 35 s left: predict (deeplab)"  # 7 jobs of 5 s
    clock.now += 2
    assert "about 33 s left" in line.text()


def test_a_rule_that_has_not_run_yet_is_expected_to_take_as_long_as_its_like(logger, clock):
    line = show_one_line(logger, {"train_classifier": 1, "score_cams": 1, "predict": 1, "summarise": 3, "total": 6})
    for number, (rule, seconds) in enumerate([("train_classifier", 100), ("score_cams", 4)]):
        begin(logger, number, rule, "x")
        clock.now += seconds
        finish(logger, number)
    assert "about 1 min 52 s left" in line.text()  # a network's job of 100 s, and three others of 4 s


def test_two_jobs_at_once_take_half_the_time(logger, clock):
    line = show_one_line(logger, {"predict": 8, "total": 8}, io.StringIO())
    for number in (1, 2):
        begin(logger, number, "predict", "x")
    clock.now += 10
    for number in (1, 2):
        finish(logger, number)
    assert "2 of 8 jobs, 10 s, about 30 s left" in line.text()  # six jobs of 10 s, two at once


def test_a_job_that_failed_no_longer_runs(logger, clock):
    line = show_one_line(logger, STATS, io.StringIO())
    begin(logger, 1, "predict", "x")
    logger.error("", extra={"event": "job_error", "jobid": 1})
    assert line.text() == "0 of 10 jobs, 0 s"


def test_a_terminals_line_makes_room_for_errors(logger, clock):
    stream = Terminal()
    show_one_line(logger, STATS, stream)
    begin(logger, 1, "predict", "x")
    assert stream.getvalue().rstrip().endswith("predict") and "\n" not in stream.getvalue()
    logger.error("the disk is full")
    assert stream.getvalue().endswith(" \r")
    assert written(logger) == "the disk is full\n"


def test_in_a_file_lines_come_seldom_and_the_last_always(logger, clock):
    stream = io.StringIO()
    show_one_line(logger, {"predict": 3, "total": 3}, stream)
    for number in (1, 2, 3):
        begin(logger, number, "predict", "x")
        clock.now += 20
        finish(logger, number)
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == ["2 of 3 jobs", "3 of 3 jobs"]


def test_snakemakes_own_progress_is_silent_and_nothing_to_do_is_said(logger, clock):
    show_one_line(logger, STATS, io.StringIO())
    logger.info("Execute 1 jobs...")
    logger.info("Nothing to be done (all requested files are present and up to date).")
    assert written(logger).startswith("Nothing to be done") and "Execute" not in written(logger)


def test_a_terminal_that_is_gone_ends_no_run(logger, clock):
    stream = Terminal()
    line = show_one_line(logger, STATS, stream)
    stream.close()
    begin(logger, 1, "predict", "x")
    finish(logger, 1)
    logger.error("the disk is full")
    assert line.done == 1 and written(logger) == "the disk is full\n"
