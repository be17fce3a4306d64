"""DBDENet, spatial branch: details from guide and intensity (Qu, Hou, Dong, Xiao, Du, Li, IEEE TGRS 60, 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution, planes
from waldbench.methods.deep._ratio_four import RatioFourNetwork
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS = 64, 6


def _activated(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU())


def _doubled(inputs: int, outputs: int) -> nn.Sequential:
    upscale = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(upscale, nn.BatchNorm2d(outputs), nn.ReLU())


class NormalisedResidualBlock(nn.Module):
    """The sum x + BN(conv(ReLU(BN(conv(x))))), 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_activated(channels, channels), convolution(channels, channels), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.branch(x)


def _trunk(inputs: int, channels: int) -> nn.Sequential:
    blocks = (NormalisedResidualBlock(channels) for _ in range(BLOCKS))
    return nn.Sequential(_activated(inputs, channels), _activated(channels, channels), *blocks)


class CrossAttention(nn.Module):
    """Join two streams: each takes a share of the other where its own attention is high; their sum goes on."""

    def __init__(self, channels: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.look = nn.ModuleList(convolution(2, 1, bias=False) for _ in range(2))
        norms = [nn.BatchNorm2d(outputs) for _ in range(2)]
        for norm in norms:
            nn.init.constant_(norm.weight, gain)
        self.join = nn.ModuleList(nn.Sequential(nn.Conv2d(2 * channels, outputs, 1), norm) for norm in norms)

    def forward(self, guide: Tensor, image: Tensor) -> Tensor:
        """Map both streams (B, C, H, W) to (B, outputs, H, W)."""
        seen = image * self.look[0](planes(guide)).sigmoid(), guide * self.look[1](planes(image)).sigmoid()
        return self.join[0](torch.cat([guide, seen[0]], 1)) + self.join[1](torch.cat([image, seen[1]], 1))


@register(
    tasks={"hs", "ms"},
    title="DBDENet (spatial branch)",
    year=2022,
    paper="Qu, Hou, Dong, Xiao, Du, Li, IEEE TGRS 60, 2022",
    doi="10.1109/TGRS.2021.3130420",
    licence="Apache-2.0 repository (CF2N) holds the spatial branch; written from a fact sheet, not from that code",
    faithful="layers, parameters and products of the published spatial branch; its images were not compared",
    inferred=(
        "the spectral branch and the joint injection were not at hand: figures of the whole network are not its own",
        "the branch's details are added to lms; the intensity is the mean of the low-resolution bands",
        "batch normalisation without activation after the 1x1 convolutions of the cross attention; a tenth of it at the end",
        "several guide bands: stacked",
    ),
)
class DBDENetSpatial(RatioFourNetwork):
    """Two streams, the guide from full to half scale and the intensity from quarter to half, joined by cross attention.

    Published training: Adam at 5e-4 with weight decay 1e-4, batches of 8, 500 epochs.

    Args:
        sensor: sensor of the images, ratio 4.
        guide_bands: channels of the guide.
    """

    recipe = Recipe("l1", 5e-4, 8, 500, weight_decay=1e-4, notes=("the loss is not stated; mean absolute error is taken",))

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        wide = 2 * WIDTH
        self.guide_full = nn.Sequential(_trunk(guide_bands, WIDTH), _activated(WIDTH, wide))
        self.guide_half = nn.Sequential(nn.AvgPool2d(3, stride=2, padding=1), _trunk(wide, wide), _activated(wide, wide))
        self.image_half = nn.Sequential(_trunk(1, WIDTH), _doubled(WIDTH, wide))
        self.join_half = CrossAttention(wide, wide)
        self.image_full = nn.Sequential(_trunk(wide, wide), _doubled(wide, wide))
        # Normalised details are of the size of a whole image; training starts near lms instead.
        self.join_full = CrossAttention(wide, sensor.count, gain=0.1)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the details of the spatial branch to lms."""
        full = self.guide_full(guide)
        half = self.join_half(self.guide_half(full), self.image_half(ms.mean(1, keepdim=True)))
        return lms + self.join_full(full, self.image_full(half))
