import pytest
import torch

from benchmarks.advcam import CLASSES, PARAMETERS, authors_climb, authors_step, main, make_classifier
from tests.benchmarks.figures import figures
from tests.oracles.plain_advcam import plain_climb

SMALL = ["--height", "40", "--width", "56", "--network", "resnet_small", "--repeats", "2", "--threads", "1"]


@pytest.mark.parametrize("pairs", [1, 3])
def test_prints_machine_sizes_and_figures(capsys, pairs):
    threads = torch.get_num_threads()
    main([*SMALL, "--pairs", str(pairs)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ") and "1 of" in lines[0]
    assert f"{pairs} pair" in lines[1] and "40x56 in a batch, float32" in lines[1]
    for part in (
        "authors' procedure: ",
        "ours: ",
        "time in convolutions: ",
        " GFLOP/s, ",
        "deviation of maps in float32",
    ):
        assert any(part in line for line in lines), part
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and deviation < 1e-8
    assert torch.get_num_threads() == threads


def test_bfloat16_states_its_error(capsys):
    main([*SMALL, "--precision", "bfloat16"])
    lines = capsys.readouterr().out.splitlines()
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and 1e-6 < deviation < 1
    assert any(line.endswith(f" steps: {deviation:.3g}") for line in lines)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_gpu(capsys, precision):
    main([*SMALL, "--device", "cuda", "--precision", precision])
    ratio, _ = figures(capsys.readouterr().out.splitlines()[-1])
    assert ratio > 0


def test_the_baseline_is_the_authors_procedure():
    classifier = make_classifier("resnet_small").double()
    clean = torch.randn(3, 33, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    settings = (
        PARAMETERS.step_size,
        PARAMETERS.regularisation,
        PARAMETERS.mask_threshold,
        PARAMETERS.suppress_other_classes,
    )
    expected = plain_climb(lambda images: classifier.trunk(images)[-1], classifier.head, clean, 2, 4, *settings)
    torch.testing.assert_close(authors_climb(classifier, clean, 2, 4), expected.detach(), rtol=0, atol=1e-10)
    authors_step(classifier, torch.stack([clean, clean.flip(2)]), 2, None)
    assert all(weight.grad is not None for weight in classifier.parameters())


def test_pairs_are_checked(capsys):
    with pytest.raises(SystemExit):
        main([*SMALL, "--pairs", str(len(CLASSES) + 1)])
    assert "it can be 1 to 20, one pair for each class" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*SMALL, "--steps", "5"])
    assert "belong to --profile" in capsys.readouterr().err


def test_profile_of_the_whole_stage(capsys):
    main([*SMALL, "--profile", "--images", "2", "--steps", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ") and "2 images of 40x56, 2 steps" in lines[1]
    assert lines[2].startswith("the whole run under the profiler: ")
    shares = [float(line.split("%")[0]) for line in lines[3:]]
    assert lines[3].endswith("%  convolutions") and shares[0] > 0
    assert lines[-1].endswith("%  outside torch")
