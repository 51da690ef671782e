"""What a job pays before it begins: torch costs seconds, so only the jobs that compute with it import it."""

import ast
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = REPOSITORY / "workflow_scripts"
WITH_TORCH = {
    "prepare_backbone",
    "prepare_fully_connected",
    "train_classifier",
    "score_classifier",
    "generate_cams",
    "record_climb",
    "score_climb",
    "record_erasing",
    "train_affinity",
    "spread_cams",
    "train_segmenter",
    "predict",
}


def said_by(code):
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, check=True).stdout.split()


def imports_of(script):
    """The import statements of a script, also those within its job."""
    tree = ast.parse(script.read_text())
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_a_script_imports_torch_only_if_its_job_computes_with_it():
    scripts = [path for path in sorted(SCRIPTS.glob("*.py")) if path.stem not in WITH_TORCH]
    assert len(scripts) == len(list(SCRIPTS.glob("*.py"))) - len(WITH_TORCH)
    # In one process, as each start costs a second: the first one that is named imports it.
    code = ["import sys"]
    for script in scripts:
        code += [*imports_of(script), f"if 'torch' in sys.modules: print('{script.stem}')"]
    assert said_by("\n".join(code)) == []


def test_what_makes_label_maps_does_without_pandas():
    """In every shard, and in each of its worker processes."""
    scripts = [SCRIPTS / f"{name}.py" for name in ("refine_seeds", "make_affinity_labels", "make_pseudo_labels")]
    code = ["import sys", *(line for script in scripts for line in imports_of(script))]
    assert said_by("\n".join([*code, "print('pandas' in sys.modules)"])) == ["False"]


def test_worker_processes_of_a_job_with_torch_do_without_it():
    modules = "wsss_core.segmentation.prediction_labels, wsss_core.refinement.crf"
    assert "torch" not in said_by(f"import sys, {modules}; print(*sys.modules)")


def test_planning_imports_neither_torch_nor_what_draws_and_tabulates():
    modules = "wsss_core.config, wsss_core.plan.plan, wsss_core.plan.sweeps, wsss_core.plan.score_conditions"
    heavy = {"torch", "pandas", "matplotlib", "scipy", "h5py"}
    assert not heavy & set(said_by(f"import sys, {modules}; print(*sys.modules)"))


def test_the_package_itself_is_imported_at_once():
    code = "import time; start = time.process_time(); import wsss_core, sys; print(time.process_time() - start)"
    seconds, *modules = said_by(f"{code}; print(*sys.modules)")
    assert float(seconds) < 0.3 and "torch" not in modules


def test_networks_know_nothing_of_their_training():
    for module in sorted((REPOSITORY / "wsss_core" / "networks").glob("*.py")):
        assert not [line for line in imports_of(module) if "wsss_core.training" in line], module


def test_maps_of_a_residual_network_import_no_other_trunk_and_no_other_stage():
    """So that a reader has few files from the script to the maps."""
    code = [
        "import sys",
        *imports_of(SCRIPTS / "generate_cams.py"),
        "from wsss_core.cams.methods import CAM_METHODS",
        "from wsss_core.config.networks import Trunk",
        "from wsss_core.networks.classifier import ClassMapClassifier",
        "CAM_METHODS.find('multiscale')(ClassMapClassifier(Trunk(network='resnet_small'), ['a', 'b']).eval(),"
        " __import__('numpy').zeros((20, 20, 3), 'uint8'), [1], stage_settings('cams', {'method': 'multiscale'}))",
        "print(*(name for name in sys.modules if name.startswith('wsss_core')))",
    ]
    modules = said_by("\n".join(code))
    assert len(modules) <= 70, sorted(modules)
    rooms = {module.split(".")[1] for module in modules if module.count(".")}
    assert rooms == {"cams", "config", "datasets", "errors", "evaluation", "files", "inference", "jobs", "networks"}
