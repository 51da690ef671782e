"""No training has a mask upstream that its experiment does not ask for: followed file by file through the DAG."""

import re

import numpy as np
import pytest

from tests.datasets.sbd_tree import write_png_masks, write_sbd
from tests.datasets.voc_tree import VocTree

from .workflow import REPOSITORY, Workflow, small_demo

pytestmark = pytest.mark.xdist_group("jobs")

MASK_FILES = re.compile(r"SegmentationClass|masks\.csv|scores\.csv|summary")
TRAINING = {"prepare_backbone", "train_classifier", "train_affinity", "train_segmenter"}
BEFORE_SCORING = TRAINING | {
    "score_classifier",
    "generate_cams",
    "record_climb",
    "record_erasing",
    "refine_seeds",
    "make_affinity_labels",
    "spread_cams",
    "make_pseudo_labels",
    "predict",
    "index_dataset",
}


def planned_jobs(workflow):
    """All jobs of the DAG as (rule, inputs, outputs, shown wildcards)."""
    output = workflow.run("--dry-run", "--forceall")
    jobs = []
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", output)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)[1]
        files = {
            part: re.split(r", ", found[1]) if (found := re.search(rf"^    {part}: (.*)$", block, re.M)) else []
            for part in ("input", "output")
        }
        jobs.append((rule, files["input"], files["output"]))
    return jobs


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    workflow = Workflow(tmp_path_factory.mktemp("planned"))
    (workflow.folder / "list.txt").write_text("creature_000000\n")
    semi = {**workflow.config["experiments"]["cam"], "masks_of": "list.txt"}
    workflow.config["experiments"]["semi"] = semi
    workflow.config["report"] = {"erasings": 1}
    workflow.config["cams"]["advcam"]["score_every_step"] = True
    return planned_jobs(workflow)


def upstream_files(job, jobs):
    maker = {file: other for other in jobs for file in other[2]}
    found, waiting = set(), list(job[1])
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(maker[file][1] if file in maker else [])
    return found


def test_the_dag_is_read_whole(jobs):
    rules = {rule for rule, _, _ in jobs}
    assert BEFORE_SCORING | {"index_masks", "score_cams", "score_climb", "score_label_maps"} <= rules
    assert len([job for job in jobs if job[0] == "train_segmenter"]) == 4
    made = {file for job in jobs for file in job[2]}
    for rule, inputs, _ in jobs:
        assert set(inputs) <= made | {"list.txt"}, rule  # every file's maker is known: no path of the DAG is lost


def test_no_training_has_a_mask_upstream_but_segmenters_that_are_given_masks(jobs):
    with_masks = []
    for job in jobs:
        if job[0] in BEFORE_SCORING and any(MASK_FILES.search(file) for file in upstream_files(job, jobs)):
            with_masks.append((job[0], job[2][0]))
    assert {rule for rule, _ in with_masks} == {"train_segmenter", "predict"}
    variants = {re.search(r"/(?:segmenter|predictions)/([\w-]+)-[0-9a-f]{10}/", output)[1] for _, output in with_masks}
    # experiments.full has labels: masks, experiments.semi has masks_of
    assert variants == {"masks-deeplab", "cam-irn-some_masks-deeplab"}


def test_scores_do_have_masks_upstream(jobs):
    for job in jobs:
        if job[0].startswith("score_") and job[0] != "score_classifier":
            assert any("SegmentationClass" in file for file in upstream_files(job, jobs))


@pytest.mark.parametrize("form", ["archive", "png"])
def test_masks_of_sbd_are_for_scoring_too(tmp_path, form):
    """Of SBD, which ``train_aug`` is computed from, trainings see the lists alone."""
    tree = VocTree(tmp_path / "voc", ["cat", "dog"])
    for image_id, split in (("one", "train"), ("two", "val"), ("three", "train")):
        tree.add(image_id, ["cat", "dog"], split, mask=True)
    tree.lists["train"].remove("three")
    tree.write_lists()
    mask = np.ones((6, 8), dtype=np.uint8)
    if form == "png":
        sbd = write_png_masks(tmp_path / "sbd", {"three": mask})
    else:
        sbd = write_sbd(tmp_path / "sbd", {"train": ["three"], "val": []}, {"three": mask})
    workflow = Workflow(tmp_path)
    del workflow.config["experiments"]["full"]  # which is trained on masks
    splits = {"train": "train_aug"}
    workflow.config["dataset"] = {"root": str(tree.root), "classes": ["cat", "dog"], "sbd": str(sbd), "splits": splits}
    jobs = planned_jobs(workflow)
    with_masks = set()
    for job in jobs:
        upstream = upstream_files(job, jobs)
        if any(re.search(r"SegmentationClass|/cls$|/sbd$", file) for file in upstream):
            with_masks.add(job[0])
        if job[0] == "train_classifier":
            lists = [file for file in upstream if "/sbd/" in file]
            assert len(lists) == (0 if form == "png" else 2) and all(file.endswith(".txt") for file in lists)
    assert "index_masks" in with_masks and "score_cams" in with_masks
    assert not with_masks & BEFORE_SCORING


def test_no_training_and_no_map_reads_how_good_a_classifier_is(jobs):
    """Maps wait for the verdict, and are drawn the same whatever it says; nothing else looks at either file."""
    readers = {}
    for rule, inputs, _ in jobs:
        for file in inputs:
            if found := re.search(r"/classifier/[^/]+/(scores\.csv|verdict\.json)$", file):
                readers.setdefault(found[1], set()).add(rule)
    for_people = {"link_experiment", "summarise", "make_report"}
    assert readers == {
        "scores.csv": for_people,
        "verdict.json": {*for_people, "generate_cams", "record_climb", "score_climb"},
    }
    script = (REPOSITORY / "workflow_scripts/generate_cams.py").read_text()
    code = [re.sub("#.*", "", line) for line in script.splitlines() if not line.lstrip().startswith("from ")]
    uses = [line.strip() for line in code if "verdict" in line]
    assert len(uses) == 2, uses
    assert uses[0].startswith("stop_at_chance(snakemake.input.verdict, ") and uses[1].startswith("work.run(but=[")


def test_nothing_but_the_classifiers_score_reads_a_validation_image_before_the_predictions(tmp_path):
    workflow = Workflow(tmp_path, small_demo("cam"))
    workflow.run("dataset")
    (raw,) = workflow.results.glob("generated/*")
    validation = (raw / "ImageSets/Segmentation/val.txt").read_text().split()
    assert len(validation) == workflow.config["dataset"]["generate"]["val_images"]
    images = {}
    for image_id in validation:
        (path,) = (raw / "JPEGImages").glob(f"{image_id}.*")
        images[path] = path.read_bytes()

    def write(whole):
        for path, content in images.items():  # in place, so that Snakemake sees no change
            path.write_bytes(content if whole else b"")

    write(whole=False)
    scored = workflow.attempt("classifier")
    assert "rule score_classifier" in scored.stdout and f"{validation[0]}" in scored.stdout  # which does read them
    assert list(workflow.results.glob("classifier/*/weights.safetensors"))
    assert not list(workflow.results.glob("classifier/*/verdict.json"))
    write(whole=True)
    assert workflow.planned("classifier") == {"score_classifier": 1, "classifier": 1}
    workflow.run("classifier")
    write(whole=False)
    workflow.run("segmenter")
    assert f"{validation[0]}" in workflow.attempt("predictions").stdout  # this stage does read them, and fails
