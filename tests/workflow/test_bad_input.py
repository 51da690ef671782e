"""What a user is told whose data or configuration is not right, before hours of work are spent."""

import pytest

from tests.datasets.voc_tree import VocTree

from .workflow import Workflow


def voc_workflow(folder, tree):
    """The small demo on a data set on disk instead of the generated one."""
    workflow = Workflow(folder)
    workflow.config["dataset"] = {"name": "mine", "root": str(tree.root), "classes": ["cat", "dog"]}
    return workflow


def test_a_misspelt_key_is_told_before_anything_runs(tmp_path):
    workflow = Workflow(tmp_path)
    workflow.config["cams"]["advcam"]["step"] = 3
    result = workflow.attempt()
    assert result.returncode != 0
    assert "cams.advcam.step: unknown key: 'step'; did you mean 'steps'?" in result.stdout
    assert "Traceback" not in result.stdout
    assert not workflow.results.exists()


def test_a_key_given_twice_is_told(tmp_path):
    workflow = Workflow(tmp_path)
    command = workflow.command("--dry-run")
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text() + "\nruntime: {shards: 2}\n")
    import subprocess

    result = subprocess.run(command, text=True, capture_output=True)
    assert result.returncode != 0
    assert "the key 'runtime' is given twice" in result.stdout + result.stderr


@pytest.mark.parametrize("existing", [True, False])
def test_all_faults_of_a_data_set_are_told_by_the_first_job(tmp_path, existing):
    tree = VocTree(tmp_path / "voc")
    workflow = voc_workflow(tmp_path, tree)
    if existing:
        tree.add("good", ["cat"], "train", size=(20, 30))
        tree.add("strange", ["cow"], "train", size=(20, 30))
        tree.add("cut", ["dog"], "val", size=(20, 30))
        tree.write_lists()
        image = tmp_path / "voc/JPEGImages/cut.jpg"
        image.write_bytes(image.read_bytes()[:300])
        expected = ["strange", "'cow'", "cut.jpg"]
    else:
        expected = [str(tmp_path / "voc")]
    result = workflow.attempt()
    assert result.returncode != 0
    for text in expected:
        assert text in result.stdout
    assert "Traceback" not in result.stdout
    assert not list(workflow.results.glob("classifier/*/*"))
