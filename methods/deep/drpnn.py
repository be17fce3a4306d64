"""DRPNN: a deep network that learns a residual (Wei, Yuan, Shen, Zhang, IEEE GRSL 14(10), 2017)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH, DEPTH, SIZE = 32, 8, 7


@register(
    tasks={"ms", "hs", "sar"},
    title="DRPNN",
    year=2017,
    paper="Wei, Yuan, Shen, Zhang, IEEE GRSL 14(10), 2017",
    doi="10.1109/LGRS.2017.2736020",
    licence="GPL-3.0 (DLPan-Toolbox); written from a fact sheet, not from that code",
    faithful="equal to the DLPan-Toolbox network with its published weights (WV3, QB)",
    inferred=(
        "32 filters as in the toolbox, where the paper has 64",
        "several guide bands: stacked with lms",
        "SAR guides: nothing in the published network is tied to PAN",
    ),
)
class DRPNN(OfficialNetwork):
    """Ten 7x7 convolutions whose result is added to the stacked lms and guide, and one more that selects the bands.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    # In the body, convolutions and ReLUs take turns.
    official: ClassVar = {"body.0": "conv1", f"body.{2 * DEPTH + 2}": "conv2", "tail": "conv3"} | {
        f"body.{2 * i + 2}": f"backbone.{i}.conv2" for i in range(DEPTH)
    }

    recipe = Recipe("mse", 2e-4, 32, 500, schedule="every", every=30, gamma=0.5)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        inputs = sensor.count + guide_bands
        layers: list[nn.Module] = [convolution(inputs, WIDTH, SIZE), nn.ReLU()]
        for _ in range(DEPTH):
            layers += [convolution(WIDTH, WIDTH, SIZE), nn.ReLU()]
        self.body = nn.Sequential(*layers, convolution(WIDTH, inputs, SIZE))
        self.tail = convolution(inputs, sensor.count, SIZE)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the learnt residual to lms and guide, then map both to the bands."""
        x = fast_layout(torch.cat([lms, guide], 1))
        return self.tail(x + self.body(x))
