import errno
import json
from pathlib import Path

import pytest

from wsss_core.errors import UserError
from wsss_core.plan.experiments import has_other_links, link_experiment, prune, unreferenced


def test_links_lead_to_the_artifacts_and_follow_the_configuration(tmp_path):
    for name in ("cams/cam-1", "cams/cam-2", "affinity/a-1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    links = tmp_path / "experiments" / "x" / "links.json"
    link_experiment(links, {"cams": str(tmp_path / "cams/cam-1"), "affinity": str(tmp_path / "affinity/a-1")})
    assert (links.parent / "affinity" / "file").read_text() == "affinity/a-1"
    link_experiment(links, {"cams": str(tmp_path / "cams/cam-2")})
    assert (links.parent / "cams" / "file").read_text() == "cams/cam-2"
    assert not (links.parent / "affinity").is_symlink()
    assert list(json.loads(links.read_text())) == ["cams"]
    (tmp_path / "results").mkdir()
    moved = tmp_path / "results" / "moved"
    (tmp_path / "experiments").rename(moved)  # links are relative: they hold within the folder
    assert (moved / "x" / "cams").is_symlink()


def test_another_runs_temporary_link_is_left_alone(tmp_path):
    """Two people link one experiment at the same time."""
    links = tmp_path / "experiments" / "x" / "links.json"
    links.parent.mkdir(parents=True)
    others = links.parent / ".writing-cams-1a2b"
    others.symlink_to("../../cams/cam-1")
    link_experiment(links, {"cams": str(tmp_path / "cams/cam-1")})
    assert others.is_symlink()
    assert {path.name for path in links.parent.iterdir()} == {others.name, "cams", "links.json"}


def test_the_list_of_links_does_not_depend_on_how_the_folder_is_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    links = Path("experiments/x/links.json")
    link_experiment(links, {"cams": "cams/cam-1"})
    relative = links.read_bytes()
    link_experiment(links.absolute(), {"cams": str(tmp_path / "cams/cam-1")})
    assert links.read_bytes() == relative and json.loads(relative) == {"cams": "../../cams/cam-1"}


def test_a_file_system_without_symbolic_links_has_the_list(tmp_path, monkeypatch, caplog):
    def refused(self, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refused)
    links = tmp_path / "experiments" / "x" / "links.json"
    link_experiment(links, {"cams": str(tmp_path / "cams/cam-1")})
    assert json.loads(links.read_text()) == {"cams": "../../cams/cam-1"}
    assert "has no symbolic links" in caplog.text


def test_links_of_another_configuration_are_recognised(tmp_path):
    links = tmp_path / "experiments" / "x" / "links.json"
    one = {"cams": str(tmp_path / "cams/cam-1"), "affinity": str(tmp_path / "affinity/a-1")}
    other = {**one, "cams": str(tmp_path / "cams/cam-2")}
    assert not has_other_links(links, one)  # none at all
    link_experiment(links, one)
    (links.parent / ".writing-cams-1a2b").symlink_to("of another run")
    assert not has_other_links(links, one) and has_other_links(links, other)
    (links.parent / "affinity").unlink()  # as on a file system without links
    assert not has_other_links(links, one)
    (links.parent / "cams").unlink()
    (links.parent / "cams").symlink_to("../../cams/cam-2")  # a job for the other one was killed here
    assert has_other_links(links, one) and has_other_links(links, other)


def test_a_folder_in_a_links_place_is_named(tmp_path):
    (tmp_path / "experiments/x/cams").mkdir(parents=True)
    with pytest.raises(UserError, match=r"experiments/x/cams: is a folder, but must be a link to"):
        link_experiment(tmp_path / "experiments/x/links.json", {"cams": str(tmp_path / "cams/cam-1")})
    assert [path.name for path in (tmp_path / "experiments/x").iterdir()] == ["cams"]


def test_prune_lists_and_deletes_only_what_no_experiment_needs(tmp_path, capsys):
    for name in ("cams/cam-1", "cams/cam-2", "experiments/cam", "experiments/new", "sweeps/old", "sweeps/steps"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("logs/generate_cams", "logs/report_sweep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "logs/report_sweep/old.log").write_text("")
    (tmp_path / "logs/generate_cams/cam-2.log").write_text("")
    (tmp_path / "logs/generate_cams/cam-1.log").write_text("")
    (tmp_path / "summary.md").write_text("")
    arguments = (tmp_path, [str(tmp_path / "cams/cam-1")], ["new"], ["steps"])
    assert unreferenced(*arguments) == [tmp_path / name for name in ("cams/cam-2", "experiments/cam", "sweeps/old")]
    prune(*arguments, delete=False)
    listed = capsys.readouterr().out
    assert "cam-2" in listed and listed.endswith("these: snakemake prune --config runtime='{prune: delete}'\n")
    prune(*arguments, delete=False, configfiles=["my sets/a.yaml", "b.yaml"])
    command = "snakemake prune --configfile 'my sets/a.yaml' b.yaml --config runtime='{prune: delete}'\n"
    assert capsys.readouterr().out.endswith(command)
    assert (tmp_path / "cams/cam-2").exists()
    prune(*arguments, delete=True)
    assert not (tmp_path / "cams/cam-2").exists() and not (tmp_path / "experiments/cam").exists()
    assert not (tmp_path / "logs/generate_cams/cam-2.log").exists()
    assert not (tmp_path / "sweeps/old").exists() and not (tmp_path / "logs/report_sweep/old.log").exists()
    assert (tmp_path / "cams/cam-1").exists() and (tmp_path / "logs/generate_cams/cam-1.log").exists()
    assert (tmp_path / "summary.md").exists() and (tmp_path / "sweeps/steps").exists()
    prune(*arguments, delete=True)
    assert "nothing to prune" in capsys.readouterr().out
