import json
from pathlib import Path

import pytest

from wsss_core.config.reference import (
    METHODS_FOLDER,
    SCHEMA_FILE,
    TABLE_FILE,
    json_schema,
    reference_table,
    with_settings,
)
from wsss_core.config.sections import SECTIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_files_are_in_step():
    hint = "run: python -m wsss_core.config.reference"
    assert json.loads((DOCS / SCHEMA_FILE).read_text()) == json.loads(json.dumps(json_schema())), hint
    assert (DOCS / TABLE_FILE).read_text() == reference_table(), hint


@pytest.mark.parametrize("page", sorted((DOCS / METHODS_FOLDER).glob("*.md")), ids=lambda page: page.stem)
def test_the_methods_tables_of_settings_are_in_step(page):
    assert page.read_text() == with_settings(page.read_text()), "run: python -m wsss_core.config.reference"


def test_a_table_has_what_a_class_declares_and_how_its_blocks_differ_from_their_own_defaults():
    page = with_settings("<!-- settings of CgnetClassifier -->\nold\n<!-- end of settings -->\n")
    assert "| `ordinary` | **required** |" in page and "| `erasing_weight` | `0.3` |" in page and "old" not in page
    assert "| `augmentation` | `{long_side: [256, 448], crop: 384, colour_jitter: 0.3}` |" in page
    assert "`start_from`" not in page
    with pytest.raises(KeyError):
        with_settings("<!-- settings of Nobody -->\n<!-- end of settings -->\n")


def test_every_field_is_described():
    def undescribed(model, path):
        for name, field in model.model_fields.items():
            if not field.description:
                yield f"{path}.{name}"

    for section, kinds in SECTIONS.items():
        for kind in kinds.kinds.values():
            assert not list(undescribed(kind, section))


def test_the_table_shows_the_default_that_a_block_has_in_its_place():
    assert '| `pretext.optimisation.optimizer` | `sgd`, `adamw` | `"adamw"` |' in reference_table()
