"""MSDCNN: a deep multi-scale and a shallow branch (Yuan, Wei, Meng, Shen, Zhang, IEEE JSTARS 11(3), 2018)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

SIZES = (3, 5, 7)


class MultiScaleBlock(nn.Module):
    """ReLU(x + [3x3, 5x5 and 7x7 convolutions of x, a third of the channels each])."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(convolution(channels, channels // 3, size) for size in SIZES)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; C is a multiple of 3."""
        return functional.relu(x + torch.cat([scale(x) for scale in self.scales], 1))


class MultiScaleBranch(nn.Sequential):
    """The deep branch: two multi-scale blocks of 60 and 30 channels between plain convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            convolution(inputs, 60, 7),
            nn.ReLU(),
            MultiScaleBlock(60),
            convolution(60, 30, 3),
            nn.ReLU(),
            MultiScaleBlock(30),
            convolution(30, outputs, 5),
        )


@register(
    tasks={"ms", "hs", "sar"},
    title="MSDCNN",
    year=2018,
    paper="Yuan, Wei, Meng, Shen, Zhang, IEEE JSTARS 11(3), 2018",
    doi="10.1109/JSTARS.2018.2794888",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="equal to the DLPan-Toolbox network with its published weights (WV3, QB)",
    inferred=("several guide bands: stacked with lms", "SAR guides: nothing in the published network is tied to PAN"),
)
class MSDCNN(OfficialNetwork):
    """Sum of a deep and a shallow convolutional branch on stacked lms and guide, cut at zero.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = (
        {"deep.0": "conv1", "deep.3": "conv3", "deep.6": "conv5"}
        | {f"deep.2.scales.{i}": f"conv2_{i + 1}" for i in range(len(SIZES))}
        | {f"deep.5.scales.{i}": f"conv4_{i + 1}" for i in range(len(SIZES))}
        | {"shallow.0": "shallow1", "shallow.2": "shallow2", "shallow.4": "shallow3"}
    )

    recipe = Recipe(
        "mse",
        1e-3,
        64,
        500,
        weight_decay=1e-5,
        schedule="every",
        every=40,
        gamma=0.5,
        notes=("learning rate inferred: the released configuration says 1e-6, with which nothing is learnt",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        inputs, bands = sensor.count + guide_bands, sensor.count
        self.deep = MultiScaleBranch(inputs, bands)
        self.shallow = nn.Sequential(
            convolution(inputs, 64, 9), nn.ReLU(), convolution(64, 32, 1), nn.ReLU(), convolution(32, bands, 5)
        )

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Map lms and guide to a non-negative image; nothing of lms skips the network."""
        x = fast_layout(torch.cat([lms, guide], 1))
        return functional.relu(self.deep(x) + self.shallow(x))
