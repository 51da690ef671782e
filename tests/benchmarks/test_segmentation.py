from pathlib import Path

from benchmarks.methods import METHODS
from benchmarks.segmentation import EVERY, order_kept, report, segmentation_configuration
from wsss_core.config import load_config, read_yaml
from wsss_core.plan.plan import Plan

DEMO = read_yaml(Path(__file__).parents[2] / "config.yaml")


def test_the_semi_supervised_segmenter_shares_all_but_itself_with_the_weak_one(tmp_path):
    plan = Plan(load_config(segmentation_configuration(DEMO, 2, tmp_path, images=40)))
    assert set(plan.experiments) == {*METHODS, "semi", "full"}
    weak, semi = plan.experiments["cam"], plan.experiments["semi"]
    assert semi["pseudo_labels"] is weak["pseudo_labels"] and semi["segmenter"] is not weak["segmenter"]
    listed = Path(semi["listed_masks"].parameters["subset"]).read_text().split()
    assert listed == [f"creature_{number:06d}" for number in range(0, 40, EVERY)]


def test_losses_are_paired_and_order_is_that_of_the_means(tmp_path):
    config = segmentation_configuration(DEMO, 1, tmp_path)
    scores = {}
    for seed in (1, 3):
        labels = {method: 60.0 + place + seed for place, method in enumerate(METHODS)}
        scores[seed] = {method: {"labels": value, "val": value - 2 * seed} for method, value in labels.items()}
        scores[seed] |= {"semi": {"labels": labels["cam"], "val": 70.0}, "full": {"val": 80.0}}
    scores[3]["cgnet"]["val"] -= 10
    text = report(scores, config)
    assert "| cam | 62.0 ± 1.4 | 58.0 ± 1.4 | -4.0 ± 2.8 | -22.0 ± 1.4 | -21.0 -23.0 |" in text
    assert "| semi | 62.0 ± 1.4 | 70.0 ± 0.0 | – | -10.0 ± 0.0 | -10.0 -10.0 |" in text
    assert "| full | – | 80.0 ± 0.0 | – | – | – |" in text
    # In seed 3 the last of four is behind the three others afterwards; by its mean, too.
    assert order_kept(scores)[1] == 0.75
    assert text.splitlines()[-1] == "loss=5.25 bound=21.75 order=-0.20 pairs=0.75"
