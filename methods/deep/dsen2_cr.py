"""DSen2-CR: residual cloud removal with SAR (Meraner, Ebel, Zhu, Schmitt, ISPRS Journal 166, 2020)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

# The published network reads optical images in [0, 5] and SAR in [0, 2]; a `Network` receives both in [0, 1].
OPTICAL, SAR = 5.0, 2.0
# Share of a block's branch in its sum.
SHARE = 0.1


class ScaledResidualBlock(nn.Module):
    """The sum x + 0.1 conv(ReLU(conv(x))), 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = convolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + SHARE * self.second(self.first(x).relu())


@register(
    tasks={"sar"},
    title="DSen2-CR",
    year=2020,
    paper="Meraner, Ebel, Zhu, Schmitt, ISPRS Journal of Photogrammetry and Remote Sensing 166, 2020",
    doi="10.1016/j.isprsjprs.2020.05.013",
    licence="GPL-3.0 (ameraner/dsen2-cr); written from a fact sheet, not from that code",
    faithful="16 blocks of 256 features, equal to the released network on shared weights given by a formula; published scaling",
    inferred=("sensors other than Sentinel-2: as many input and output bands as the sensor has",),
)
class DSen2CR(OfficialNetwork):
    """A residual network on optical and SAR bands whose output is added to the cloudy image.

    Published training: CARL, mean(|(1 - m)(y - x)| + |m (y - t)|) + mean|y - t| with cloud and shadow mask m of threshold 0.2;
    Nadam at 7e-5, batches of 16, 8 epochs, random crops of 128 pixels.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        width: number of features.
        depth: number of residual blocks.

    Raises:
        ValueError: if width or depth is below 1.
    """

    official: ClassVar = {"head": "model.0", "tail": "model.18"} | {
        f"blocks.{i}.{name}": f"model.{i + 2}.conv_block.{n}" for i in range(16) for n, name in ((0, "first"), (2, "second"))
    }

    recipe = Recipe(
        "l1",
        7e-5,
        16,
        8,
        "nadam",
        notes=("the published loss also keeps cloud-free pixels; the data have no cloud mask, so that term is left out",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 2, width: int = 256, depth: int = 16) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        if min(width, depth) < 1:
            raise ValueError(f"expected a width and a depth of at least 1, got {width} and {depth}")
        self.head = convolution(sensor.count + guide_bands, width)
        self.blocks = nn.Sequential(*(ScaledResidualBlock(width) for _ in range(depth)))
        self.tail = convolution(width, sensor.count)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to the cloudy image lms what optical and SAR bands say is missing."""
        return self.core(OPTICAL * lms, SAR * guide) / OPTICAL

    def core(self, optical: Tensor, sar: Tensor) -> Tensor:
        """The released network: optical (B, C, H, W) in [0, 5], SAR (B, G, H, W) in [0, 2], result in [0, 5]."""
        x = self.head(fast_layout(torch.cat([optical, sar], 1))).relu()
        return optical + self.tail(self.blocks(x))


@register(
    "dsen2-cr-lite",
    tasks={"sar"},
    title="DSen2-CR-lite",
    year=2020,
    paper="Meraner, Ebel, Zhu, Schmitt, ISPRS Journal of Photogrammetry and Remote Sensing 166, 2020",
    doi="10.1016/j.isprsjprs.2020.05.013",
    licence="GPL-3.0 (ameraner/dsen2-cr); written from a fact sheet, not from that code",
    faithful="as dsen2-cr",
    inferred=("a smaller size of our own for CPUs: 6 blocks of 64 features, 2 % of the parameters",),
)
class DSen2CRLite(DSen2CR):
    """DSen2-CR with 6 blocks of 64 features; the published figures are not its own.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        width: number of features.
        depth: number of residual blocks.
    """

    def __init__(self, *, sensor: Sensor, guide_bands: int = 2, width: int = 64, depth: int = 6) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands, width=width, depth=depth)
