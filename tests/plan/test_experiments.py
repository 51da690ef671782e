import json

from wsss_core.plan.experiments import link_experiment, prune, unreferenced


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
    assert "cam-2" in capsys.readouterr().out
    assert (tmp_path / "cams/cam-2").exists()
    prune(*arguments, delete=True)
    assert not (tmp_path / "cams/cam-2").exists() and not (tmp_path / "experiments/cam").exists()
    assert not (tmp_path / "logs/generate_cams/cam-2.log").exists()
    assert not (tmp_path / "sweeps/old").exists() and not (tmp_path / "logs/report_sweep/old.log").exists()
    assert (tmp_path / "cams/cam-1").exists() and (tmp_path / "logs/generate_cams/cam-1.log").exists()
    assert (tmp_path / "summary.md").exists() and (tmp_path / "sweeps/steps").exists()
    prune(*arguments, delete=True)
    assert "nothing to prune" in capsys.readouterr().out
