"""What several tests of jobs need."""

import logging
import os

import pytest


@pytest.fixture
def quiet():
    """What a job does to the root logger, and to the environment, is undone."""
    root, handlers, level = logging.getLogger(), logging.getLogger().handlers, logging.getLogger().level
    environment = dict(os.environ)
    yield
    root.handlers, root.level = handlers, level
    os.environ.clear()
    os.environ.update(environment)
