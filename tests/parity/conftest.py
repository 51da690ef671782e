"""Runs each parity test once for every golden case whose file name matches the test's marker."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.parity.cases import Case
from tests.parity.imported import Imported, import_network


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("golden")
    if marker is None:
        return
    folder: Path = metafunc.config.getoption("--golden-dir")
    files = sorted(path for pattern in marker.args for path in folder.glob(pattern))
    metafunc.parametrize("golden", files, ids=[path.stem for path in files])


@pytest.fixture
def case(golden: Path) -> Case:
    return Case(golden)


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    """Files of the authors' networks, each imported once."""
    folder = tmp_path_factory.mktemp("imported")
    yield cache(lambda network: import_network(network, folder))
    shutil.rmtree(folder)  # together over a gigabyte, which pytest would keep
