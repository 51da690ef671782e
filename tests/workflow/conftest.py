import pytest

from .workflow import Workflow


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The small demo, run to its end once for all tests; they must leave its results alone."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"))
    workflow.run()
    return workflow
