import json
from pathlib import Path

from wsss_core.config.reference import SCHEMA_FILE, TABLE_FILE, json_schema, reference_table
from wsss_core.config.root import SECTIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_files_are_in_step():
    hint = "run: python -m wsss_core.config.reference"
    assert json.loads((DOCS / SCHEMA_FILE).read_text()) == json.loads(json.dumps(json_schema())), hint
    assert (DOCS / TABLE_FILE).read_text() == reference_table(), hint


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
