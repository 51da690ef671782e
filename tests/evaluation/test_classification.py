import math
from itertools import permutations

import numpy as np
import pytest

from tests.oracles.plain_average_precision import plain_average_precision, plain_f1
from wsss_core.errors import UserError
from wsss_core.evaluation.classification import average_precision, classify_figures
from wsss_core.evaluation.classifier_verdict import judge, read_verdict, stop_at_chance, verdict_in_text, write_verdict

CLASSES = ("bird", "cat", "dog", "eel")
ADVICE = ("labels", "rate", "images")


def labelled(images, seed, shares=(0.5, 0.3, 0.2, 0.05)):
    """Labels of images, common classes and rare ones."""
    return np.random.default_rng(seed).random((images, len(shares))) < shares


def seen(labels, strength, seed):
    """Logits of a classifier that knows the labels more or less; 0: not at all."""
    return np.random.default_rng(seed + 1000).normal(size=labels.shape) + strength * (labels - 0.5)


def verdict_of(logits, labels):
    return judge("ordinary", classify_figures(logits, labels), CLASSES, ADVICE)


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_and_f1_are_the_plain_ones(seed):
    random = np.random.default_rng(seed)
    labels = labelled(random.integers(2, 40), seed)
    logits = seen(labels, seed % 3, seed)
    if seed % 2:
        logits = logits.round()  # many ties
    found, figures = average_precision(logits, labels), classify_figures(logits, labels)
    for k, one in enumerate(figures.classes):
        if not labels[:, k].any():
            assert math.isnan(found[k]) and math.isnan(one.f1) and math.isnan(one.average_precision)
            continue
        plain = plain_average_precision(logits[:, k].tolist(), labels[:, k].tolist())
        assert found[k] == pytest.approx(plain)
        assert one.average_precision == pytest.approx(plain) or labels[:, k].all()
        assert one.f1 == pytest.approx(plain_f1(logits[:, k].tolist(), labels[:, k].tolist()))


def test_a_published_value():
    """Of scikit-learn's documentation of ``average_precision_score``."""
    scores, labels = np.array([[0.1], [0.4], [0.35], [0.8]]), np.array([[0], [0], [1], [1]], dtype=bool)
    assert average_precision(scores, labels)[0] == pytest.approx(0.83, abs=0.005)


def test_chance_is_the_mean_over_all_orders():
    labels, logits = np.array([[1], [1], [0], [0], [0], [0], [0]], dtype=bool), np.arange(7.0)[:, None]
    orders = [plain_average_precision(logits[:, 0].tolist(), list(order)) for order in permutations(labels[:, 0])]
    assert classify_figures(logits, labels).mean.chance == pytest.approx(np.mean(orders), abs=0.02)


@pytest.mark.parametrize("images", [12, 40, 100])
def test_what_knows_nothing_has_learned_nothing(images):
    verdicts = [verdict_of(seen(labels, 0, seed), labels) for seed in range(200) for labels in [labelled(images, seed)]]
    learned = [verdict.learned for verdict in verdicts]
    assert learned.count("nothing") >= 0.98 * (200 - learned.count("unknown"))
    assert learned.count("unknown") <= (60 if images == 12 else 0)
    named = [name for verdict in verdicts for name in verdict.classes_at_chance]
    assert named.count("bird") > (0.75 if images == 12 else 0.9) * 200  # of few images luck alone finds much


@pytest.mark.parametrize(("images", "strength"), [(12, 8), (40, 4), (100, 4)])
def test_what_knows_much_is_never_warned_of_as_a_whole(images, strength):
    for seed in range(40):
        labels = labelled(images, seed)
        verdict = verdict_of(seen(labels, strength, seed), labels)
        assert verdict.learned == "enough" and "bird" not in verdict.classes_at_chance


def test_little_is_neither():
    labels = labelled(150, 0)
    verdict = verdict_of(seen(labels, 0.7, 0), labels)
    assert verdict.learned == "little" and verdict.is_warning and verdict.what_to_do == ADVICE
    assert "the classifier has learned little: mAP " in verdict.sentence


def test_a_class_at_chance_is_named_among_good_ones():
    labels = labelled(150, 0)
    logits = seen(labels, 6, 0)
    logits[:, 1] = seen(labels, 0, 1)[:, 1]
    verdict = verdict_of(logits, labels)
    assert verdict.learned == "enough" and verdict.classes_at_chance == ("cat",) and verdict.is_warning
    assert verdict.sentence.endswith("; no better than chance: cat") and not verdict.is_near_chance
    assert "Class maps of these show little. What to do: (1) labels; (2) images." in verdict_in_text(verdict)


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((0, 4), bool),
        np.ones((1, 4), bool),
        np.eye(2, 4, dtype=bool),
        np.tile([True, False, True, False], (50, 1)),  # there is nothing to tell apart
        np.zeros((50, 4), bool),
    ],
)
def test_without_images_to_distinguish_nothing_is_claimed(labels):
    for strength in (-9, 0, 9):
        verdict = verdict_of(seen(labels, strength, 0), labels)
        assert verdict.learned == "unknown" and "cannot be judged" in verdict.sentence and not verdict.is_warning


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_what_always_says_the_same_has_learned_nothing(value):
    labels = labelled(60, 0)
    figures = classify_figures(np.full(labels.shape, value), labels)
    assert verdict_of(np.full(labels.shape, value), labels).learned == "nothing"
    assert figures.mean.average_precision == pytest.approx(labels.mean()) == pytest.approx(figures.mean.chance)


def test_of_few_images_no_class_is_named_that_is_found_well():
    labels = labelled(10, 3)
    for seed in range(40):
        verdict = verdict_of(seen(labels, 3, seed), labels)
        figures = classify_figures(seen(labels, 3, seed), labels).classes
        low = {n for n, one in zip(CLASSES, figures, strict=True) if one.average_precision < (1 + 2 * one.chance) / 3}
        assert set(verdict.classes_at_chance) <= (set() if verdict.learned == "unknown" else low)


def test_equal_logits_give_equal_figures():
    labels = labelled(60, 0)
    assert classify_figures(seen(labels, 1, 0), labels) == classify_figures(seen(labels, 1, 0), labels)


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    labels = labelled(60, 0)
    for strength in (0, 9):
        verdict = verdict_of(seen(labels, strength, 0), labels)
        write_verdict(verdict, tmp_path / "verdict.json")
        assert read_verdict(tmp_path / "verdict.json") == verdict
        stop_at_chance(tmp_path / "verdict.json", "warn")
        if strength:
            stop_at_chance(tmp_path / "verdict.json", "stop")
        else:
            with pytest.raises(UserError, match=r"has learned nothing.*What to do.*No maps are drawn"):
                stop_at_chance(tmp_path / "verdict.json", "stop")
    (tmp_path / "verdict.json").write_text("{}")
    with pytest.raises(UserError, match="holds no verdict"):
        read_verdict(tmp_path / "verdict.json")
