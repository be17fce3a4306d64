"""DiCNN: detail injection by three convolutions (He, Rao, Li, Chanussot, Plaza, Zhu, Li, IEEE JSTARS 12(4), 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork, truncated_he_
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH = 64


@register(
    tasks={"ms", "hs", "sar"},
    title="DiCNN",
    year=2019,
    paper="He, Rao, Li, Chanussot, Plaza, Zhu, Li, IEEE JSTARS 12(4), 2019",
    doi="10.1109/JSTARS.2019.2898574",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="the paper's DiCNN1, equal to the DLPan-Toolbox network with its published weights (WV3, QB)",
    inferred=("several guide bands: stacked with lms", "SAR guides: nothing in the published network is tied to PAN"),
)
class DiCNN(OfficialNetwork):
    """Details from three convolutions of stacked lms and guide, added to lms.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = {"details.0": "conv1", "details.2": "conv2", "details.4": "conv3"}

    recipe = Recipe("mse", 2e-4, 64, 5_000, schedule="every", every=1_500, gamma=0.5)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.details = nn.Sequential(
            convolution(sensor.count + guide_bands, WIDTH),
            nn.ReLU(),
            convolution(WIDTH, WIDTH),
            nn.ReLU(),
            convolution(WIDTH, sensor.count),
        )
        truncated_he_(self)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the details to lms."""
        return lms + self.details(fast_layout(torch.cat([lms, guide], 1)))
