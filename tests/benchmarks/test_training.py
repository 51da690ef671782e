import pytest
import torch

from benchmarks.training import main, make_objective, plain_steps, settings_of
from tests.benchmarks.figures import figures

SMALL = ["--network", "resnet_small", "--height", "60", "--width", "80", "--crop", "48", "--images", "2"]
QUICK = [*SMALL, "--steps", "1", "--threads", "1"]


def test_prints_machine_sizes_and_figures(capsys):
    threads = torch.get_num_threads()
    main(QUICK)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("machine: ") and "1 of" in lines[0]
    assert (
        lines[1].startswith("cgnet on resnet_small") and "JPEGs of 60x80, crops of 48, float32, 0 workers" in lines[1]
    )
    for part in ("plain loop: ", "ours: ", "images/s", "loading an image", "time in convolutions: "):
        assert any(part in line for line in lines), part
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and deviation < 1e-10
    assert torch.get_num_threads() == threads


def test_bfloat16_states_its_error_and_workers_may_load(capsys):
    main([*QUICK, "--precision", "bfloat16", "--objective", "ordinary", "--workers", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("ordinary on") and lines[1].endswith("bfloat16, 1 workers")
    ratio, deviation = figures(lines[-1])
    assert ratio > 0 and 1e-4 < deviation < 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_on_a_gpu(capsys, precision):
    main([*QUICK, "--device", "cuda", "--precision", precision])
    ratio, _ = figures(capsys.readouterr().out.splitlines()[-1])
    assert ratio > 0


def test_the_plain_loop_gathers_gradients_that_nobody_uses():
    settings = settings_of("cgnet", 2, 32, "float32")
    plain, own = (make_objective(settings, "resnet_small", plain, torch.device("cpu")) for plain in (True, False))

    class Noise:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return torch.randn(3, 32, 32), (torch.arange(20) == index).float()

    for objective, gathers in ((plain, True), (own, False)):
        list(plain_steps(objective, Noise(), torch.device("cpu")))
        assert all((weight.grad is not None) is gathers for weight in objective.ordinary.parameters())
