"""HSpeNet: dense fusion of spectra and the guide's details (He et al., IEEE JSTARS 13, 2020)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import fast_layout, reflecting
from waldbench.methods.recipes import Recipe

WIDTH, GROWTH, DENSE = 64, 16, 5


@register(
    tasks={"hs", "ms"},
    title="HSpeNet",
    year=2020,
    paper="He et al., IEEE JSTARS 13, 2020",
    doi="10.1109/JSTARS.2020.3025040",
    licence="CC BY-NC-SA 4.0 (hyperspectral pansharpening toolbox); written from a fact sheet, not from that code",
    faithful="equal to the network of Ciotola et al.'s toolbox (2024) with its published weights for PRISMA",
    inferred=("several guide bands: the convolved guide is taken from their mean",),
)
class HSpeNet(OfficialNetwork):
    """Features of the spectra and of the guide minus its convolution, fused by a dense block and added to lms.

    Published training: 0.9 mean squared error + 0.1 (1 - mean cosine of the spectral angle), Adam at 1e-4, 4,000 epochs,
    batches of 64.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = {
        "low_pass.0": "conv1_2",
        "low_pass.2": "conv2_2",
        "encode.0": "conv1_1",
        "encode.2": "conv2_1",
        "decode": "conv8",
    } | {f"dense.{i}": f"conv{i + 3}" for i in range(DENSE)}

    recipe = Recipe("0.9 MSE + 0.1 (1 - mean cosine of the spectral angle)", 1e-4, 64, 4_000)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.low_pass = nn.Sequential(reflecting(guide_bands, GROWTH), nn.ReLU(), reflecting(GROWTH, GROWTH), nn.ReLU())
        self.encode = nn.Sequential(nn.Conv2d(sensor.count, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())
        self.dense = nn.ModuleList(reflecting(WIDTH + GROWTH * (i + 1), GROWTH) for i in range(DENSE))
        self.decode = nn.Conv2d(WIDTH + GROWTH * (DENSE + 1), sensor.count, 1)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details found by the dense block."""
        x = torch.cat([guide.mean(1, keepdim=True) - self.low_pass(guide), self.encode(fast_layout(lms))], 1)
        for layer in self.dense:
            x = torch.cat([x, layer(x).relu()], 1)
        return lms + self.decode(x)

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Mean squared error and the cosine between the spectra."""
        fused = self.fuse(ms, lms, guide)
        return 0.9 * functional.mse_loss(fused, gt) + 0.1 * (1 - functional.cosine_similarity(fused, gt, dim=1).mean())
