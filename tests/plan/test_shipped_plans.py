import json

import pytest

from tests.plan.shipped_plans import RECORD, REPOSITORY, planned_names, shipped_configurations


@pytest.mark.parametrize("file", shipped_configurations(), ids=lambda file: file.stem)
def test_artifacts_keep_their_names(file):
    recorded = json.loads(RECORD.read_text())[str(file.relative_to(REPOSITORY))]
    assert planned_names(file) == recorded, "if meant: python -m tests.plan.shipped_plans, and the changelog"


def test_every_recorded_configuration_is_shipped():
    assert set(json.loads(RECORD.read_text())) == {str(f.relative_to(REPOSITORY)) for f in shipped_configurations()}
