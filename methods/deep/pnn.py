"""PNN: three convolutions that predict the fused image itself (Masi, Cozzolino, Verdoliva, Scarpa, Remote Sensing 8(7), 2016)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import fast_layout
from waldbench.methods.recipes import Recipe

MARGIN = 8


@register(
    tasks={"ms", "hs", "sar"},
    title="PNN",
    year=2016,
    paper="Masi, Cozzolino, Verdoliva, Scarpa, Remote Sensing 8(7):594, 2016",
    doi="10.3390/rs8070594",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="equal to the DLPan-Toolbox network (64 filters, no radiometric indices) with its published weights (WV3, QB)",
    inferred=(
        "images of any size are padded by 8 pixels before the valid convolutions in training too; the loss leaves them out",
        "a guide of several channels (SAR) is stacked whole",
    ),
)
class PNN(OfficialNetwork):
    """Valid 9x9, 5x5, 5x5 convolutions on interpolated bands and guide; the output is the image, not a residual."""

    loss_margin = MARGIN
    official: ClassVar = {name: name for name in ("conv1", "conv2", "conv3")}

    recipe = Recipe("mse", 1e-4 * 17**2, 64, 12_000, "sgd", momentum=0.9, lr_times_bands=True)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.conv1 = nn.Conv2d(sensor.count + guide_bands, 64, 9)
        self.conv2 = nn.Conv2d(64, 32, 5)
        self.conv3 = nn.Conv2d(32, sensor.count, 5)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Replicate 8 border pixels, which the valid convolutions take off again."""
        x = functional.pad(torch.cat([lms, guide], 1), (MARGIN,) * 4, mode="replicate")
        return self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(fast_layout(x))))))
