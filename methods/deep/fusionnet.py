"""FusionNet: a residual network on the difference of guide and image (Deng, Vivone, Jin, Chanussot, IEEE TGRS 59(8), 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import ResidualBlock, convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS = 32, 4


@register(
    tasks={"ms", "hs", "sar"},
    title="FusionNet",
    year=2021,
    paper="Deng, Vivone, Jin, Chanussot, IEEE TGRS 59(8), 2021",
    doi="10.1109/TGRS.2020.3031366",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="equal to the DLPan-Toolbox network with its published weights (WV3, QB)",
    inferred=("a guide of several channels (SAR) enters as their mean",),
)
class FusionNet(OfficialNetwork):
    """Details predicted by four residual blocks from the guide minus each interpolated band."""

    official: ClassVar = (
        {"head": "conv1", "tail": "conv3"}
        | {f"blocks.{i}.first": f"res{i + 1}.conv20" for i in range(BLOCKS)}
        | {f"blocks.{i}.second": f"res{i + 1}.conv21" for i in range(BLOCKS)}
    )
    copies = ("backbone.",)

    recipe = Recipe("mse", 3e-4, 32, 400)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.head = convolution(sensor.count, WIDTH)
        self.blocks = nn.Sequential(*(ResidualBlock(WIDTH) for _ in range(BLOCKS)))
        self.tail = convolution(WIDTH, sensor.count)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the predicted details to lms."""
        difference = fast_layout(guide.mean(1, keepdim=True) - lms)
        return lms + self.tail(self.blocks(torch.relu(self.head(difference))))
