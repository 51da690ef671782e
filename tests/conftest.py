"""Options that pytest has to know before it looks at any test."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How many cases the property tests try: `make test` the same ones every time, `make test-slow` more, and new ones.
loose = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=30, derandomize=True, deadline=None, suppress_health_check=loose)
settings.register_profile("thorough", max_examples=400, deadline=None, suppress_health_check=loose, print_blob=True)
settings.load_profile("quick")

# pytest runs in as many processes as there are cores; more threads than cores wait for each other. Before torch.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

GOLDEN = Path(__file__).parent / "golden"


def pytest_configure(config: pytest.Config) -> None:
    folder: Path = config.getoption("--golden-dir")
    if not any(folder.glob("*.npz")):
        raise pytest.UsageError(f"--golden-dir {folder}: has no golden case (*.npz)")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden-dir",
        type=Path,
        default=GOLDEN,
        help="folder of cases that tests/parity compares with (default: tests/golden)",
    )


@pytest.fixture
def dice() -> random.Random:
    """Random numbers for a test. A failed one shows their seed, with which it can be run again."""
    seed = int(os.environ.get("WSSS_TEST_SEED", random.randrange(10**6)))
    print(f"WSSS_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def no_extension_stays():
    """What a test's extensions registered is not there for the next test of the same process."""
    from wsss_core.config import extensions
    from wsss_core.config.sections import SECTIONS

    registries = [extensions._loaded, *(section.kinds for section in SECTIONS.values())]
    before = [dict(registry) for registry in registries]
    yield
    for registry, content in zip(registries, before, strict=True):
        if registry != content:
            registry.clear()
            registry.update(content)
