"""HyperPNN: spectrally predictive convolutions around a spatial core (He, Zhu, Li, Plaza, Chanussot, Li, IEEE JSTARS, 2019)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import fast_layout, reflecting
from waldbench.methods.recipes import Recipe

WIDTH = 64


@register(
    tasks={"hs", "ms"},
    title="HyperPNN",
    year=2019,
    paper="He, Zhu, Li, Plaza, Chanussot, Li, IEEE JSTARS 12(8), 2019",
    doi="10.1109/JSTARS.2019.2917584",
    licence="CC BY-NC-SA 4.0 (hyperspectral pansharpening toolbox); written from a fact sheet, not from that code",
    faithful="equal to the network of Ciotola et al.'s toolbox (2024) with its published weights for PRISMA",
    inferred=(
        "the toolbox's inner skip and reflected borders; other ports add the interpolated image at the end instead",
        "several guide bands: stacked before the features",
    ),
)
class HyperPNN(OfficialNetwork):
    """1x1 convolutions on the spectra, 3x3 convolutions on their features and the guide, 1x1 convolutions back to the bands.

    Published training: mean squared error, Adam at 1e-4, 5,000 epochs, batches of 64.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = {
        **{f"encode.{2 * i}": f"conv{i + 1}" for i in range(2)},
        **{f"blend.{2 * i}": f"conv{i + 3}" for i in range(3)},
        **{f"decode.{2 * i}": f"conv{i + 6}" for i in range(2)},
    }

    recipe = Recipe("mse", 1e-4, 64, 5_000)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.encode = nn.Sequential(nn.Conv2d(sensor.count, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU())
        inputs = (WIDTH + guide_bands, WIDTH, WIDTH)
        layers = (part for count in inputs for part in (reflecting(count, WIDTH), nn.ReLU()))
        self.blend = nn.Sequential(*layers)
        self.decode = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, sensor.count, 1))

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Map lms and guide to the sharp image; there is no skip from lms."""
        x = self.encode(fast_layout(lms))
        return self.decode(x + self.blend(torch.cat([guide, x], 1)))
