import pytest

from .workflow import Workflow


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small demo, run to its end once for all tests; they must leave its results alone."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.folder.chmod(0o2775)  # what a team's shared folder has
    workflow.run()
    return workflow
