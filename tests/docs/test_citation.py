"""``CITATION.cff`` by the rules of its schema, version 1.2.0, and in step with the package."""

import pytest
import yaml

from wsss_core.config.sections import SECTIONS

from .markdown import REPOSITORY, anchors

tomllib = pytest.importorskip("tomllib")
REQUIRED = {"cff-version", "message", "title", "authors"}
KNOWN = REQUIRED | {"abstract", "type", "version", "license", "keywords", "references"}
OF_A_REFERENCE = {"type", "title", "authors", "collection-title", "journal", "year", "notes"}
PERSON, ENTITY = {"family-names", "given-names"}, {"name"}


def test_the_file_is_valid():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert set(citation) >= REQUIRED and set(citation) <= KNOWN
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    for entry in (citation, *citation["references"]):
        assert entry["authors"] and all(set(author) in (PERSON, ENTITY) for author in entry["authors"]), entry["title"]
        names = [text for author in entry["authors"] for text in author.values()]
        assert all(isinstance(text, str) and text for text in [entry["title"], *names])
    for reference in citation["references"]:
        assert {"type", "title", "authors", "year"} <= set(reference) <= OF_A_REFERENCE, reference["title"]
        assert reference["type"] in ("conference-paper", "article") and 2010 < reference["year"] < 2030


def test_it_is_in_step_with_the_package():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    pages = [reference["notes"].partition(": ")[2] for reference in citation["references"]]
    assert all((REPOSITORY / page).is_file() for page in pages)


def test_every_method_is_cited_and_has_its_page():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    cited = " ".join(reference["notes"] for reference in citation["references"])
    own_names = {"ordinary": "cam", "multiscale": "cam", "none": "thresholds", "class_attention": "mctformer"}
    own_names |= dict.fromkeys(("clip", "clip_gradcam", "attention"), "clipes")
    for section in ("classifiers", "cams", "affinities"):
        for kind in SECTIONS[section].kinds:
            page = f"docs/methods/{own_names.get(kind, kind)}.md"
            headings = anchors(REPOSITORY / page)
            assert {"in-the-code", "settings"} <= headings, page
            assert any(heading.startswith("what-the-authors-code-does") for heading in headings), page
            assert page in cited or kind == "none", page
