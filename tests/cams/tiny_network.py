"""A network of a few weights with class maps."""

import torch
from torch import Tensor, nn


class TinyClassifier(nn.Module):
    """Two convolutions, stride 4, and a linear 1x1 head; what AdvCAM asks of a classifier."""

    def __init__(self, classes: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.classes = tuple(f"class{k}" for k in range(classes))
        generator = torch.Generator().manual_seed(seed)
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()
        )
        self.head = nn.Conv2d(8, classes, 1, bias=False)
        self.to(dtype)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype) * 0.4
        self.requires_grad_(False).eval()

    def class_maps(self, images: Tensor) -> Tensor:
        return self.head(self.trunk(images))

    def evidence(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.class_maps(images).relu()
        return maps, maps.mean(dim=(2, 3))

    def positive_weights(self, classes: Tensor) -> Tensor:
        return (self.head.weight[classes] > 0).sum(dim=(1, 2, 3))
