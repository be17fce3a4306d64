"""AWFLN: adaptive weighted feature learning network (Lu, Yang, Huang, Chen, Chi, Liu, Tu, IEEE TGRS 61, 2023)."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._adaptive_layers import TAPS, TapWeightedConvolution
from waldbench.methods.deep._blocks import ShuffleUpscale
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH = 30


class TapAttention(nn.Module):
    """Tap weights in [0.5, 1) (B, 9, H, W) from a gate per pixel and a gate per tap."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.channel = nn.Conv1d(1, 1, 7, padding=3, bias=False)
        self.mix = nn.Sequential(convolution(TAPS, TAPS), nn.BatchNorm2d(TAPS), nn.ReLU(), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Tap weights of x (B, 9, H, W); the gates do not multiply x itself."""
        planes = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        per_tap = self.channel(x.amax((2, 3))[:, None])[:, 0, :, None, None]
        return self.mix(self.spatial(planes).sigmoid() * per_tap.sigmoid())


class AdaptiveFeatureLearning(TapWeightedConvolution):
    """AFLB: a static 3x3 kernel whose taps are weighted at every pixel, without bias."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)
        self.taps = nn.Sequential(convolution(channels, TAPS), TapAttention())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.contract(x, self.taps(x))


class ResidualMultiReceptiveStage(nn.Module):
    """RMRS: three dilated convolutions side by side, two AFLB, then ReLU of the sum with the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(convolution(channels, channels // 3, dilation=step) for step in (1, 2, 3))
        self.adapt = nn.Sequential(AdaptiveFeatureLearning(channels), AdaptiveFeatureLearning(channels))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=sqrt(2 / (part.weight[0, 0].numel() * part.out_channels)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = fast_layout(x)
        return (x + self.adapt(torch.cat([branch(x) for branch in self.branches], 1))).relu()


def activated(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution and a PReLU of one slope."""
    return nn.Sequential(convolution(inputs, outputs), nn.PReLU())


@register(
    tasks={"ms", "hs"},
    title="AWFLN",
    year=2023,
    paper="Lu, Yang, Huang, Chen, Chi, Liu, Tu, IEEE TGRS 61, 2023",
    doi="10.1109/TGRS.2023.3241643",
    licence="none seen; written from a description of its layers, not from the code",
    faithful="layers and parameters as released, with the enlargement by 2 that is never used (`unused`, 2,337 at 8 bands)",
    inferred=(
        "guide of two bands: both are concatenated, the first layer of that branch widens by one",
        "ratios other than 4: the pixel shuffle enlarges by the ratio",
        "the adaptive convolution also computes the zeros between image rows: 0.8 % more multiplications at 64x64 than released",
        "trained by the benchmark's recipe, not by the paper's",
    ),
)
class AWFLN(Network):
    """lms plus the details that two stages of adaptively weighted features find in the guide, lms and the enlarged ms."""

    recipe = Recipe(
        "l1",
        5e-4,
        20,
        300,
        schedule="every",
        every=100,
        gamma=0.5,
        floor=5e-5,
        notes=("the released code takes patches of 128 pixels and interpolates ms by bicubic resampling",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.guide_head = activated(bands + guide_bands, WIDTH)
        self.image_head = activated(bands, WIDTH)
        self.squeeze = activated(2 * WIDTH, WIDTH)
        self.enlarge = nn.Sequential(ShuffleUpscale(bands, sensor.ratio), nn.PReLU())
        self.unused = nn.Sequential(ShuffleUpscale(bands, 2), nn.PReLU()).requires_grad_(False)
        self.tail = convolution(WIDTH, bands)
        self.wide = ResidualMultiReceptiveStage(2 * WIDTH)
        self.narrow = ResidualMultiReceptiveStage(WIDTH)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details of both stages."""
        ms, image, guide = (fast_layout(x) for x in (ms, lms, guide))
        guided = self.guide_head(torch.cat([self.enlarge(ms), guide], 1))
        features = self.wide(torch.cat([self.image_head(image), guided], 1))
        return lms + self.tail(self.narrow(self.squeeze(features)))
