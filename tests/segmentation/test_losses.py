import pytest
import torch
from torch.nn import functional

from wsss_core.config.segmentation import DeepLab
from wsss_core.segmentation.losses import segmentation_losses

PLAIN = DeepLab(backbone="any")


def of(**settings):
    return DeepLab(backbone="any", **settings)


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return [torch.randn(2, 3, 4, 6, dtype=torch.float64), torch.randn(2, 3, 8, 12, dtype=torch.float64)]


@pytest.fixture
def labels():
    torch.manual_seed(1)
    labels = torch.randint(0, 3, (2, 8, 12), dtype=torch.uint8)
    labels[0, :5] = 255
    return labels


def test_scores_are_enlarged_to_the_labels(logits, labels):
    large = functional.interpolate(logits[0], size=(8, 12), mode="bilinear", align_corners=False)
    expected = [functional.cross_entropy(part, labels.long(), ignore_index=255) for part in (large, logits[1])]
    torch.testing.assert_close(segmentation_losses(logits, labels, PLAIN), torch.stack(expected))


def test_labels_are_reduced_to_the_scores(logits, labels):
    small = labels[:, 1::2, 1::2].long()  # the centre of two pixels counts as the second's
    wanted = [small, labels.long()]
    expected = [functional.cross_entropy(*pair, ignore_index=255) for pair in zip(logits, wanted, strict=True)]
    torch.testing.assert_close(segmentation_losses(logits, labels, of(compared_at="scores")), torch.stack(expected))


def test_balanced_is_the_mean_of_background_and_objects(logits, labels):
    each = functional.cross_entropy(logits[1], labels.long(), ignore_index=255, reduction="none")
    background, objects = each[labels == 0].mean(), each[(labels == 1) | (labels == 2)].mean()
    losses = segmentation_losses(logits[1:], labels, of(loss="balanced"))
    torch.testing.assert_close(losses[0], (background + objects) / 2)
    only_background = torch.where(labels == 0, labels, 255)
    torch.testing.assert_close(segmentation_losses(logits[1:], only_background, of(loss="balanced"))[0], background / 2)


@pytest.mark.parametrize("loss", ["cross_entropy", "balanced"])
@pytest.mark.parametrize("at", ["labels", "scores"])
def test_without_labels_the_losses_are_0_and_have_gradients(loss, at):
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    losses = segmentation_losses([logits], torch.full((1, 9, 9), 255), of(loss=loss, compared_at=at))
    losses.sum().backward()
    assert losses.tolist() == [0]
    assert torch.equal(logits.grad, torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize("loss", ["cross_entropy", "balanced"])
@pytest.mark.parametrize("weights", [(1.0, 0.3), (0.3, 0.3), (0.0, 0.3), (0.0, 0.0)])
def test_an_images_pixels_count_as_much_as_its_weight(logits, labels, loss, weights):
    """Of the pixels that count, the number is divided by: a weight does not cancel out where all have it."""
    each = functional.cross_entropy(logits[1], labels.long(), ignore_index=255, reduction="none")
    totals = []
    for kinds in [(0, 1, 2)] if loss == "cross_entropy" else [(0,), (1, 2)]:
        total, count = 0.0, 0
        for image, weight in enumerate(weights):
            for y in range(8):
                for x in range(12):
                    if labels[image, y, x].item() in kinds and weight > 0:
                        total += weight * each[image, y, x].item()
                        count += 1
        totals.append(total / count if count else 0)
    found = segmentation_losses(logits[1:], labels, of(loss=loss), torch.tensor(weights))
    assert found.tolist() == pytest.approx([sum(totals) / len(totals)])


@pytest.mark.parametrize("loss", ["cross_entropy", "balanced"])
def test_a_step_of_pseudo_labels_is_as_much_smaller_as_their_weight(logits, labels, loss):
    parameters, scores = of(loss=loss), logits[1].requires_grad_(True)
    gradients, losses = {}, {}
    for weight in (1.0, 0.5, 0.0):
        losses[weight] = segmentation_losses([scores], labels, parameters, torch.full((2,), weight)).sum()
        (gradients[weight],) = torch.autograd.grad(losses[weight], scores)
    torch.testing.assert_close(losses[0.5], losses[1.0] / 2)
    torch.testing.assert_close(gradients[0.5], gradients[1.0] / 2)
    assert losses[0.0] == 0 and torch.equal(gradients[0.0], torch.zeros_like(scores))
    torch.testing.assert_close(losses[1.0], segmentation_losses([scores], labels, parameters).sum())
