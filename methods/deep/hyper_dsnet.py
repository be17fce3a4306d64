"""Hyper-DSNet: a deep-shallow network on edges of the guide (Zhuo, Zhang, Hu, Dou, Huang, Deng, IEEE JSTARS, 2022)."""

from __future__ import annotations

from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

# The published filters; responses are 8-bit numbers.
FILTERS = {
    "gaussian_filter": ((1 / 16, 1 / 8, 1 / 16), (1 / 8, 1 / 4, 1 / 8), (1 / 16, 1 / 8, 1 / 16)),
    "sobel_x": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "sobel_y": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "prewitt_x": ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
    "prewitt_y": ((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)),
    "roberts_x": ((-1, 0, 0), (0, 1, 0), (0, 0, 0)),
    "roberts_y": ((0, -1, 0), (1, 0, 0), (0, 0, 0)),
    "laplacian": ((2, 0, 2), (0, -8, 0), (2, 0, 2)),
}
LEVELS = 255
SHALLOW, DEEP = 16, (32, 16, 8, 8)


class FixedFilter(nn.Module):
    """A 3x3 filter that is stored with the weights but not trained, reflected borders."""

    weight: Tensor

    def __init__(self, taps: tuple[tuple[float, ...], ...]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(taps, dtype=torch.float32)[None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Filter x (B, 1, H, W)."""
        return functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), self.weight.to(x.dtype))


class EdgeChannels(nn.Module):
    """Seven images of one guide band: itself, its differences, Roberts, Prewitt, Sobel and Laplacian edges.

    The edges are rounded to 256 levels as published, so they pass no gradient to the guide.
    """

    def __init__(self) -> None:
        super().__init__()
        for name, taps in FILTERS.items():
            self.add_module(name, FixedFilter(taps))

    def forward(self, guide: Tensor) -> Tensor:
        """Map (B, 1, H, W) to (B, 7, H, W)."""
        down = torch.diff(guide, dim=2, prepend=guide[:, :, :1])
        right = torch.diff(guide, dim=3, prepend=guide[..., :1])
        smooth = self.get_submodule("gaussian_filter")(guide)
        peak = smooth.amax((1, 2, 3), keepdim=True)
        # A zeroed guide has no edges.
        peak = torch.where(peak > 0, peak, torch.ones_like(peak))
        grey = LEVELS * smooth / peak
        edges = [self._pair("roberts", grey.floor()), self._pair("prewitt", grey.floor()), self._pair("sobel", grey)]
        edges.append(self._level("laplacian", grey.floor()))
        return torch.cat([guide, down, right, *(edge * peak / LEVELS for edge in edges)], 1)

    def _level(self, name: str, grey: Tensor) -> Tensor:
        return self.get_submodule(name)(grey).abs().clamp(0, LEVELS).round()

    def _pair(self, name: str, grey: Tensor) -> Tensor:
        return (0.5 * self._level(f"{name}_x", grey) + 0.5 * self._level(f"{name}_y", grey)).round()


@register(
    tasks={"hs", "ms"},
    title="Hyper-DSNet",
    year=2022,
    paper="Zhuo, Zhang, Hu, Dou, Huang, Deng, IEEE JSTARS 15, 2022",
    doi="10.1109/JSTARS.2022.3202866",
    licence="CC BY-NC-SA 4.0 (hyperspectral pansharpening toolbox); written from a fact sheet, not from that code",
    faithful="equal to the network of Ciotola et al.'s toolbox (2024) with its published weights for PRISMA",
    inferred=("several guide bands: seven channels of each", "a guide of zeros has no edges instead of undefined ones"),
)
class HyperDSNet(OfficialNetwork):
    """Multi-scale convolutions on edges and bands, shallow and deep features joined and weighted by channel attention.

    Published training: mean squared error, Adam at 1e-4, 5,000 epochs, batches of 32.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = (
        {f"edges.{name}": f"block1.{name}" for name in FILTERS}
        | {f"shallow.{i}": f"block2.conv{i + 1}" for i in range(3)}
        | {f"deep.{i}": f"block3.conv{i + 1}" for i in range(len(DEEP))}
        | {"attention.0": "CA.conv_du.0", "attention.2": "CA.conv_du.2", "tail": "convlast"}
    )

    recipe = Recipe("mse", 1e-4, 32, 5_000)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.edges = EdgeChannels()
        self.shallow = nn.ModuleList(convolution(bands + 7 * guide_bands, SHALLOW, size) for size in (3, 5, 7))
        widths = (3 * SHALLOW, *DEEP)
        self.deep = nn.ModuleList(convolution(a, b) for a, b in zip(widths, DEEP, strict=False))
        squeezed = max(bands // 4, 1)
        self.attention = nn.Sequential(nn.Conv2d(bands, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, bands, 1), nn.Sigmoid())
        self.tail = nn.Conv2d(sum(widths), bands, 1)
        self._initialise()

    def _initialise(self) -> None:
        for layer in (*self.shallow, *self.deep, self.attention[0], self.attention[2]):
            assert isinstance(layer, nn.Conv2d)
            deviation = 1 / sqrt(layer.weight[0].numel())
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add to lms the details, weighted by what the low-resolution spectra say of every band."""
        x = fast_layout(torch.cat([*(self.edges(band) for band in guide.split(1, 1)), lms], 1))
        features = [torch.cat([layer(x).relu() for layer in self.shallow], 1)]
        for layer in self.deep:
            features.append(layer(features[-1]).relu())
        return lms + self.tail(torch.cat(features, 1)) * self.attention(ms.mean((2, 3), keepdim=True))
