"""HyperKite: an over-complete network on a prior image (Bandara, Valanarasu, Patel, IEEE TGRS, 2021)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import damp_
from waldbench.methods.deep._large import LargeNetwork
from waldbench.methods.deep._layers import fast_layout, reflecting
from waldbench.methods.recipes import Recipe

WIDTHS = (32, 64, 128)
SLOPE = 0.2


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(reflecting(inputs, outputs), nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE))


def _enlarged(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear")


def _official() -> dict[str, str]:
    names = {"middle.0": "endec_conv", "middle.1": "endec_bn", "tail": "final_conv"}
    for i in range(len(WIDTHS)):
        names |= {f"up.{i}.0": f"encoder{i + 1}", f"up.{i}.1": f"ebn{i + 1}"}
        names |= {f"down.{i}.0": f"decoder{i + 1}", f"down.{i}.1": f"dbn{i + 1}"}
    return names


@register(
    tasks={"hs", "ms"},
    title="HyperKite",
    year=2021,
    paper="Bandara, Valanarasu, Patel, IEEE TGRS, 2021",
    licence="CC BY-NC-SA 4.0 (hyperspectral pansharpening toolbox); written from a fact sheet, not from that code",
    faithful="the second stage is equal to the network of Ciotola et al.'s toolbox (2024) with its published weights for PRISMA",
    inferred=(
        "the interpolated image stands in for the first stage, a network fitted to every image in 1,500 steps",
        "the result is not clipped to [0, 1]",
        "initial weights of the last convolution are divided by 10: details would start as large as the image",
        "several guide bands: stacked",
    ),
)
class HyperKite(LargeNetwork):
    """Features enlarged to eight times the guide's size and back, with skips; their details are added to the prior.

    Published training: L1, Adam at 1e-3 with weight decay 1e-4, a tenth of it after 1,000 of 2,500 epochs, batches of 2.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = _official()
    cost_256 = "865 billion products and about 7 GiB"

    recipe = Recipe("l1", 1e-3, 2, 2_500, weight_decay=1e-4, schedule="milestones", milestones=(1_000,), gamma=0.1)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        first, second, third = WIDTHS
        up = (sensor.count + guide_bands, *WIDTHS)
        self.up = nn.ModuleList(_layer(inputs, outputs) for inputs, outputs in zip(up, WIDTHS, strict=False))
        self.middle = _layer(third, third)
        down = ((2 * third, second), (2 * second, first), (2 * first, sensor.count))
        self.down = nn.ModuleList(_layer(inputs, outputs) for inputs, outputs in down)
        self.tail = nn.Conv2d(sensor.count, sensor.count, 1)
        damp_([self.tail], 10)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to the prior, here lms, what the details at eight times its size come to."""
        x, kept = fast_layout(torch.cat([guide, lms], 1)), []
        for number, layer in enumerate(self.up):
            x = layer(_enlarged(x) if number else x)
            kept.append(x)
        x = self.middle(_enlarged(x))
        for layer in self.down:
            x = layer(torch.cat([functional.max_pool2d(x, 2), kept.pop()], 1))
        return lms + self.tail(x)
