import pytest
import torch

from tests.oracles.plain_mctformer import plain_contrast, plain_ranked_mean
from wsss_core.classifiers.mctformer import MctformerObjective, contrast_loss
from wsss_core.config.networks import Trunk
from wsss_core.config.token_classifiers import MctformerClassifier
from wsss_core.config.training import Augmentation, Cosine, Optimisation
from wsss_core.datasets.augmentation import TrainingTransform, erase, random_part
from wsss_core.errors import UserError
from wsss_core.networks.class_tokens import ClassTokenClassifier, ranked_means
from wsss_core.training.loop import learning_rate_factor

VIT = Trunk(network="timm", model="test_vit")


def settings(**options) -> MctformerClassifier:
    return MctformerClassifier(backbone="any", augmentation={"crop": 320}, **options)


@pytest.mark.parametrize("labels", [[[1, 0, 1], [0, 0, 0]], [[1, 1, 1], [0, 1, 0]]])
def test_contrast_is_that_of_the_plain_computation(labels):
    tokens = [torch.randn(2, 3, 5, dtype=torch.float64) for _ in range(2)]
    found = contrast_loss(tokens, torch.tensor(labels, dtype=torch.float64))
    torch.testing.assert_close(found, plain_contrast(tokens, labels), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("decay", [1.0, 0.996, 0.3])
def test_ranked_means(decay):
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    for k in range(2):
        expected = plain_ranked_mean(maps[0, k].flatten().tolist(), decay)
        assert ranked_means(maps, decay)[0, k].item() == pytest.approx(expected)


def test_tokens_and_positions_start_as_the_trunks():
    torch.manual_seed(0)
    network = ClassTokenClassifier(VIT, ("a", "b"), 320)  # twice the trunk's 160 pixels
    network.begin_from_trunk()
    body = network.trunk.body
    assert torch.equal(network.class_tokens[0, 1], body.cls_token[0, 0])
    assert torch.equal(network.class_positions[0, 0], body.pos_embed[0, 0])
    square = network.patch_positions[0].view(20, 20, -1)
    own = body.pos_embed[0, 1:].view(10, 10, -1)
    assert torch.equal(square[:10, 10:], own) and torch.equal(square[10:, :10], own)
    network = ClassTokenClassifier(VIT, ("a", "b"), 48)
    network.begin_from_trunk()
    assert network.patch_positions.shape == (1, 9, own.shape[2]) and network.patch_positions.abs().max() > 0


def test_what_does_not_fit():
    with pytest.raises(UserError, match="class tokens need a vision transformer"):
        ClassTokenClassifier(Trunk(network="resnet_small", output_stride=16), ("a",), 32)
    with pytest.raises(UserError, match="images of 40 pixels are not made of patches of 16"):
        ClassTokenClassifier(VIT, ("a",), 40)


def test_what_decays_and_what_is_not_trained():
    network = MctformerObjective.build_network(settings(), VIT, ("a", "b"))
    objective = MctformerObjective(network, settings(), None)
    decaying, staying = objective.parameter_groups()[0], objective.parameter_groups()[1]
    sizes = {"decaying": 0, "staying": 0}
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    for group in objective.parameter_groups():
        kind = "staying" if group.get("weight_decay") == 0 else "decaying"
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert (kind == "staying") == (parameter.dim() < 2 or name == "class_tokens"), name
            sizes[kind] += 1
    assert sizes["decaying"] and sizes["staying"] and decaying is not staying
    unused = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert unused == {"trunk.body.cls_token", "trunk.body.pos_embed", "trunk.body.norm.weight", "trunk.body.norm.bias"}


def test_blocks_are_skipped_in_training_alone():
    network = MctformerObjective.build_network(settings(drop_path=0.9), VIT, ("a", "b"))
    rates = [block.drop_path1.drop_prob for block in network.trunk.body.blocks]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0.9) and rates == sorted(rates)
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network.eval()(images), network(images))
        assert not torch.equal(network.train()(images), network(images))


def test_without_contrast_there_is_no_such_loss():
    network = MctformerObjective.build_network(settings(), VIT, ("a", "b")).eval()
    labels = torch.tensor([[1.0, 0]])
    losses = MctformerObjective(network, settings(contrast_weight=0), None).losses(torch.randn(1, 3, 64, 64), labels, 0)
    assert set(losses) == {"loss", "class_tokens", "patches"}


def test_the_rate_is_an_epoch_behind_timms_cosine():
    cosine = Cosine(final_rate=1e-5, warmup_epochs=5, warmup_rate=1e-6)
    given = Optimisation(optimizer="adamw", epochs=45, learning_rate=1e-4, cosine=cosine)
    rates = [1e-4 * learning_rate_factor(0, 1, given, epoch) for epoch in range(45)]
    assert rates[0] == rates[1] == pytest.approx(1e-6)
    assert rates[2] == pytest.approx(1e-6 + 0.2 * (1e-4 - 1e-6))
    from timm.scheduler import CosineLRScheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1e-4)
    theirs = CosineLRScheduler(optimizer, 45, lr_min=1e-5, warmup_t=5, warmup_lr_init=1e-6)
    for epoch in range(44):
        theirs.step(epoch)
        assert rates[epoch + 1] == pytest.approx(optimizer.param_groups[0]["lr"]), epoch


def test_parts_have_their_share_and_shape():
    torch.manual_seed(0)
    shares = []
    for _ in range(300):
        rows, columns = random_part(60, 90, (0.1, 0.9))
        height, width = rows.stop - rows.start, columns.stop - columns.start
        assert 0 <= rows.start < rows.stop <= 60 and 0 <= columns.start < columns.stop <= 90
        assert 0.68 < width / height < 1.5
        shares.append(height * width / 5400)
    assert min(shares) < 0.2 and max(shares) > 0.7
    assert random_part(1, 1, (0.1, 0.9)) == (slice(0, 1), slice(0, 1))


def test_erased_rectangles():
    torch.manual_seed(0)
    for _ in range(50):
        pixels = torch.full((3, 40, 40), 9.0)
        erase(pixels)
        share = (pixels[0] != 9).float().mean().item()
        assert 0.01 < share < 0.4
    transform = TrainingTransform(Augmentation(crop=32, area=(0.1, 1.0), erasing=1.0))
    image, labels = torch.zeros(50, 40, 3, dtype=torch.uint8).numpy(), torch.ones(50, 40, dtype=torch.uint8).numpy()
    seen, seen_labels = transform(image, labels)
    assert seen.shape == (3, 32, 32) and (seen_labels == 1).all() and len(seen.unique()) > 10
