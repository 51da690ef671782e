"""A results folder that a team shares: who may read and write what is in it, and who made it."""

import getpass
import json
import os
import platform
import stat

import pytest

from .conftest import TEAM
from .workflow import Workflow

pytestmark = pytest.mark.xdist_group("finished")


def test_the_group_may_read_and_write_everything(finished):
    group = TEAM if os.geteuid() == 0 else finished.folder.stat().st_gid
    assert finished.results.stat().st_mode & stat.S_ISGID
    for path in finished.results.rglob("*"):
        if not path.is_symlink():
            wanted = 0o2770 if path.is_dir() else 0o660
            assert path.stat().st_mode & wanted == wanted, path
            assert path.stat().st_gid == group, path


def test_every_job_says_who_ran_it_and_where(finished):
    provenances = list(finished.results.glob("*/*/provenance.json"))
    stages = {path.parent.parent.name for path in provenances}
    assert stages >= {"dataset", "classifier", "cams", "affinity", "pseudo_labels", "segmenter", "predictions"}
    for path in provenances:
        for job in json.loads(path.read_text())["jobs"].values():
            assert (job["user"], job["host"]) == (getpass.getuser(), platform.node()), path


def test_a_colleague_with_a_folder_of_their_own_makes_nothing_again(finished, tmp_path):
    """Snakemake's own records lie in the folder that it is started in, and are private."""
    colleague = Workflow(tmp_path, finished.changed().config)
    colleague.config["runtime"]["results"] = os.path.relpath(finished.results.parent, tmp_path)
    assert colleague.planned() == {}
