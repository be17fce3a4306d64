"""U2Net: spatial and spectral U-Nets joined by spatial-spectral attention (Peng, Guo, Wu, Deng, ACM MM 2023)."""

from __future__ import annotations

from types import EllipsisType

import torch
from torch import Tensor, nn
from torch.nn import functional

from imaging import Sensor
from methods.base import Network, register
from methods.deep._layers import Pointwise, convolution, fast_layout
from methods.deep._parts import in_parts, rows_per_part

WIDTH = 32
HEAD = 16
# Guide pixels on a side: the published training patch. Attention over all pixels of a larger image costs side^4.
TILE = 64


class SpatialSpectralAttention(nn.Module):
    """Attention over all pixels of the guide's features times attention over the channels of the image's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.spectral = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map pixels of the image x and of the guide y (B, N, C) to (B, N, C)."""
        pixels, pixel_values = (_heads(layer(y)) for layer in self.spatial)
        channels, channel_values = (_heads(layer(x)) for layer in self.spectral)
        rows = rows_per_part(pixels.shape[:3].numel(), x.device)
        parts = [(part, pixels, pixel_values) for part in (pixels * HEAD**-0.5).split(rows, 2)]
        over_pixels = torch.cat(in_parts(_attend, parts), 2)
        weights = (channels.transpose(2, 3) @ channels * channels.shape[2] ** -0.5).softmax(-1)
        product = over_pixels * (channel_values @ weights.transpose(2, 3))
        return self.out(product.transpose(1, 2).flatten(2))


def _heads(x: Tensor) -> Tensor:
    """Pixels (B, N, C) as heads (B, C/16, N, 16)."""
    return x.view(*x.shape[:2], -1, HEAD).transpose(1, 2)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.transpose(2, 3)).softmax(-1) @ value


class SpatialSpectralBlock(nn.Module):
    """S2Block: the image's features take up the guide's, then a small perceptron; both with residuals."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = SpatialSpectralAttention(channels)
        hidden = channels // 2
        layers = (nn.LayerNorm(channels), nn.Linear(channels, hidden), nn.LeakyReLU(), nn.Linear(hidden, channels))
        self.perceptron = nn.Sequential(*layers)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map features of the image x and of the guide y (B, C, H, W) to (B, C, H, W)."""
        size = x.shape[2:]
        x, y = (part.flatten(2).transpose(1, 2) for part in (x, y))
        x = x + self.attention(self.norm(x), self.norm(y))
        x = x + self.perceptron(x)
        return x.transpose(1, 2).reshape(*x.shape[::2], *size)


class Down(nn.Module):
    """Half the size, twice the channels; one for both streams."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        double = 2 * channels
        self.unused = nn.ModuleList([Pointwise(channels, double), convolution(double, double, groups=double)])
        self.unused.requires_grad_(False)
        reduce = (nn.Conv2d(channels, channels, 2, stride=2), nn.LeakyReLU())
        self.layers = nn.Sequential(*reduce, Pointwise(channels, double), convolution(double, double, groups=double))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 2C, H/2, W/2)."""
        return functional.leaky_relu(self.layers(x))


class Up(nn.Module):
    """Twice the size, half the channels, plus the encoder's features; one for both streams."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        enlarge = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.unused = nn.ModuleList([enlarge, Pointwise(channels, half), convolution(half, half, groups=half)])
        self.unused.requires_grad_(False)
        self.enlarge = nn.ConvTranspose2d(channels, half, 2, stride=2)
        self.conv = convolution(half, half)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map x (B, C, H, W) and skip (B, C/2, 2H, 2W) to (B, C/2, 2H, 2W)."""
        return functional.leaky_relu(self.conv(functional.leaky_relu(self.enlarge(x)) + skip))


class NarrowResidualBlock(nn.Module):
    """x + conv(LReLU(conv(x))), 3x3, with half the channels in between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels // 2)
        self.second = convolution(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.second(functional.leaky_relu(self.first(x)))


@register(
    tasks={"ms", "hs"},
    title="U2Net (reconstruction)",
    year=2023,
    paper="Peng, Guo, Wu, Deng, ACM Multimedia 2023",
    licence="GPL-3.0; written from a description of its layers, not from the code",
    faithful="layers, parameters and multiplications as released, unused layers of the steps down and up (`unused`) included; "
    "the released network's output was never compared",
    inferred=(
        "inside an S2Block: the first projection of a stream is correlated with itself, scaled by 1/sqrt(length) and passed "
        "through a softmax, the second is the value; the two results are multiplied element by element",
        "a residual block of the guide's stream stands before each step down or up, and its result is the stream's skip",
        "images larger than the 64x64 training patch are fused in tiles of that size, three quarters apart, and "
        "averaged: 75 G instead of 632 G multiplications at 256x256",
        "guide of two bands: the first convolution of its stream takes both; ratios other than 4: the pixel shuffle follows",
        "trained by the benchmark's recipe, not by the paper's",
    ),
)
class U2Net(Network):
    """A spectral U-Net on the image and a spatial one on the guide, joined at five places by S2Blocks."""

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        enlarge = nn.Conv2d(bands, sensor.ratio**2 * bands, 3, padding=1, bias=False)
        self.enlarge = nn.Sequential(enlarge, nn.PixelShuffle(sensor.ratio))
        self.raise_image = nn.Sequential(convolution(bands, WIDTH), nn.LeakyReLU())
        self.raise_guide = nn.Sequential(convolution(guide_bands, WIDTH), nn.LeakyReLU())
        self.to_bands = nn.Sequential(convolution(WIDTH, WIDTH), nn.LeakyReLU(), convolution(WIDTH, bands))
        widths = (WIDTH, 2 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH)
        self.blocks = nn.ModuleList(SpatialSpectralBlock(width) for width in widths)
        self.guide_blocks = nn.ModuleList(NarrowResidualBlock(width) for width in widths[:-1])
        self.down = nn.ModuleList(Down(width) for width in widths[:2])
        self.up = nn.ModuleList(Up(width) for width in widths[2:4])

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse tile by tile; overlapping tiles are averaged."""
        side = max(TILE // self.ratio, 1)
        tops, lefts = (_starts(size, side) for size in ms.shape[2:])
        if len(tops) == len(lefts) == 1:
            return self.fuse_tile(ms, guide)
        total, count = torch.zeros_like(lms), torch.zeros_like(lms[:1, :1])
        for top in tops:
            for left in lefts:
                low, high = _window(top, left, side, 1), _window(top, left, side, self.ratio)
                total[high] += self.fuse_tile(ms[low], guide[high])
                count[high] += 1
        return total / count

    def fuse_tile(self, ms: Tensor, guide: Tensor) -> Tensor:
        """Fuse ms (B, C, h, w) and guide (B, G, H, W) with attention over all of their pixels."""
        height, width = guide.shape[2:]
        image = self.enlarge(fast_layout(ms))
        # Both U-Nets halve the image twice.
        margins = (0, -width % 4, 0, -height % 4)
        x, y = (functional.pad(part, margins, mode="replicate") for part in (image, guide))
        x, y = self.raise_image(x), self.raise_guide(fast_layout(y))
        skips = []
        for level, down in enumerate(self.down):
            x, y = self.blocks[level](x, y), self.guide_blocks[level](y)
            skips.append((x, y))
            x, y = down(x), down(y)
        for level, up in enumerate(self.up, start=2):
            x, y = self.blocks[level](x, y), self.guide_blocks[level](y)
            skip_x, skip_y = skips.pop()
            x, y = up(x, skip_x), up(y, skip_y)
        return image + self.to_bands(self.blocks[-1](x, y))[..., :height, :width]


def _window(top: int, left: int, side: int, ratio: int) -> tuple[EllipsisType, slice, slice]:
    """The tile that starts at low-resolution pixel (top, left), on a grid `ratio` times as fine."""
    return ..., slice(top * ratio, (top + side) * ratio), slice(left * ratio, (left + side) * ratio)


def _starts(size: int, side: int) -> list[int]:
    """First pixels of tiles that cover `size` pixels, at most three quarters of a side apart."""
    if size <= side:
        return [0]
    count = -(-(size - side) // max(3 * side // 4, 1)) + 1
    return [round(index * (size - side) / (count - 1)) for index in range(count)]
