"""PanNet: details learnt in the high-pass domain (Yang, Fu, Hu, Huang, Ding, Paisley, ICCV, 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork, truncated_he_
from waldbench.methods.deep._layers import ResidualBlock, convolution, fast_layout, high_pass
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS = 32, 4


@register(
    tasks={"ms", "hs"},
    title="PanNet",
    year=2017,
    paper="Yang, Fu, Hu, Huang, Ding, Paisley, ICCV 2017",
    doi="10.1109/ICCV.2017.193",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="equal to the DLPan-Toolbox network with its published weights (WV3, QB)",
    inferred=(
        "the paper's network has batch normalisation, that of the toolbox has none",
        "ratios other than 4: transposed convolution of 2 ratio taps, one fewer for odd ratios",
        "several guide bands: each high-pass filtered and stacked",
    ),
)
class PanNet(OfficialNetwork):
    """Residual network on high-pass filtered ms and guide whose output is added to lms.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = (
        {"upscale": "deconv", "head": "conv1", "tail": "conv3"}
        | {f"blocks.{i}.first": f"res{i + 1}.conv20" for i in range(BLOCKS)}
        | {f"blocks.{i}.second": f"res{i + 1}.conv21" for i in range(BLOCKS)}
    )
    copies = ("backbone.",)

    recipe = Recipe("mse", 1e-3, 32, 450)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands, ratio = sensor.count, sensor.ratio
        # With 2 ratio taps an odd ratio would need more output padding than a stride of 1 allows.
        self.upscale = nn.ConvTranspose2d(bands, bands, 2 * ratio - ratio % 2, stride=ratio, padding=ratio // 2)
        self.head = convolution(bands + guide_bands, WIDTH)
        self.blocks = nn.Sequential(*(ResidualBlock(WIDTH) for _ in range(BLOCKS)))
        self.tail = convolution(WIDTH, bands)
        truncated_he_(self)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details found in the high frequencies."""
        x = fast_layout(torch.cat([self.upscale(high_pass(ms)), high_pass(guide)], 1))
        return lms + self.tail(self.blocks(functional.relu(self.head(x))))
