"""ResNet-50 in plain PyTorch, with channels last.

Reference: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. As in
most implementations, the 3x3 convolutions have the strides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

NUM_BLOCKS = (3, 4, 6, 3)


class Bottleneck(nn.Module):
    def __init__(self, channels: int, filters: int, strides: int) -> None:
        super().__init__()
        self.reduce = _convolution(channels, filters, 1)
        self.middle = _convolution(filters, filters, 3, strides)
        self.expand = _convolution(filters, 4 * filters, 1)
        self.relu = nn.ReLU(inplace=True)
        same = strides == 1 and channels == 4 * filters
        self.shortcut = (
            nn.Identity() if same else _convolution(channels, 4 * filters, 1, strides)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.middle(self.relu(self.reduce(x))))
        y = self.expand(y)
        y += self.shortcut(x)
        return self.relu(y)


def resnet50(classes: int) -> nn.Module:
    stem = (_convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
    blocks, channels = [], 64
    for stage, count in enumerate(NUM_BLOCKS):
        for block in range(count):
            strides = 2 if stage and not block else 1
            blocks.append(Bottleneck(channels, 64 * 2**stage, strides))
            channels = 256 * 2**stage
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    model = nn.Sequential(*stem, *blocks, *head)
    return model.to(memory_format=torch.channels_last)


def _convolution(channels: int, filters: int, size: int, strides: int = 1) -> nn.Module:
    convolution = nn.Conv2d(channels, filters, size, strides, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


def parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def step_of(model: nn.Module, settings: dict[str, Any]) -> Callable[[], Any]:
    """Returns a function that runs a step of inference or training."""
    device = "cuda" if settings["device"] == "gpu" else "cpu"
    model.to(device)
    shape = (settings["batch"], 3, settings["side"], settings["side"])
    images = torch.randn(shape, device=device)
    images = images.to(memory_format=torch.channels_last)
    if settings["work"] == "inference":
        model.eval()

        @torch.inference_mode()
        def infer() -> Any:
            return model(images).cpu().numpy()

        return infer
    labels = torch.randint(0, model[-1].out_features, shape[:1], device=device)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def train() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train
