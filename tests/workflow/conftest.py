import os

import pytest

from .workflow import Workflow

TEAM = 12345
"""Number of a group that is nobody's own; only root can give a folder to it."""


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small demo, run to its end once for all tests; they must leave its results alone."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    if os.geteuid() == 0:
        os.chown(workflow.folder, -1, TEAM)
    workflow.folder.chmod(0o2775)  # what a team's shared folder has
    workflow.run()
    return workflow
