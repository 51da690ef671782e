"""The demo as it is shipped: what each step is worth, in the time it may take.

Only what held on every data seed of the benchmarks (docs/benchmark.md) is asserted; affinity's gain, which single maps
lack now and then, of all methods together.
"""

import shutil
import time

import pandas
import pytest
import yaml

from .workflow import REPOSITORY, Workflow

MINUTES = 8
METHODS = ["cam", "advcam", "seenet", "cgnet"]


@pytest.mark.slow
@pytest.mark.timeout(2000)
def test_the_demo_shows_what_each_step_is_worth(tmp_path):
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    workflow = Workflow(tmp_path, config)
    start = time.monotonic()
    workflow.run(seconds=1800)
    minutes = (time.monotonic() - start) / 60
    table = pandas.read_csv(workflow.results / "summary.csv").set_index("experiment")
    print(f"{minutes:.1f} minutes", (workflow.results / "summary.md").read_text(), sep="\n")
    methods = table.loc[METHODS]
    assert (methods["seed"] < methods["refined_seed"]).all()
    assert methods["refined_seed"].mean() < methods["pseudo_labels"].mean()
    assert (methods["val"] < table.loc["full", "val"]).all()
    assert table.loc["advcam", "seed"] > table.loc["cam", "seed"]
    assert minutes < MINUTES
    shutil.rmtree(tmp_path)
