"""U2Net: a U-shaped network whose blocks join spatial and spectral attention (Peng, Guo, Wu, Deng, ACM MM, 2023)."""

from __future__ import annotations

from itertools import count
from math import ceil, lcm
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.deep._parts import rows_per_part
from waldbench.methods.deep._released import RenamedNetwork
from waldbench.methods.recipes import Recipe

WIDTH, DEPTH = 32, 16
LEVELS = (WIDTH, 2 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH)
# Pixels of the guide: the step from tile to tile, and what a tile has more on each side. Sides are halved twice.
STRIDE, MARGIN, STEP = 64, 4, 4


class JointAttention(nn.Module):
    """S2Block: the product of attention in space, asked by the guide, and in spectrum, asked by the image; then an MLP."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.guide_maps = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.image_maps = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(2))
        self.out = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, channels // 2), nn.LeakyReLU(), nn.Linear(channels // 2, channels))

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Map image and guide (B, C, H, W) to a new image of the same shape."""
        tokens = image.flatten(2).mT
        x = tokens + self.out(self._attend(self.norm(tokens), self.norm(guide.flatten(2).mT)))
        return (x + self.mlp(self.mlp_norm(x))).mT.view_as(image)

    def _attend(self, image: Tensor, guide: Tensor) -> Tensor:
        guide_first, guide_second = (_heads(layer(guide)) for layer in self.guide_maps)
        image_first, image_second = (_heads(layer(image)) for layer in self.image_maps)
        spatial = functional.scaled_dot_product_attention(guide_first, guide_second, image_first)
        scale = DEPTH**0.5 / image.shape[1]
        spectral = guide_first @ (image_first.mT @ image_second * scale).softmax(-1)
        return (spatial * spectral).transpose(1, 2).flatten(2)


def _heads(tokens: Tensor) -> Tensor:
    """Split tokens (B, N, C) into heads of 16 channels (B, C / 16, N, 16)."""
    return tokens.unflatten(2, (-1, DEPTH)).transpose(1, 2)


class Bottleneck(nn.Sequential):
    """The sum of x and two convolutions of it with half the channels in between."""

    def __init__(self, channels: int) -> None:
        super().__init__(convolution(channels, channels // 2), nn.LeakyReLU(), convolution(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + super().forward(x)


def _shrink(channels: int) -> nn.Sequential:
    wide = 2 * channels
    halve = nn.Conv2d(channels, channels, 2, stride=2)
    widen = (nn.Conv2d(channels, wide, 1), convolution(wide, wide, groups=wide))
    return nn.Sequential(halve, nn.LeakyReLU(), *widen, nn.LeakyReLU())


class Enlarge(nn.Module):
    """Half the channels at twice the size, added to a map of that size, and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.conv = convolution(channels // 2, channels // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map x (B, C, H, W) and skip (B, C / 2, 2 H, 2 W) to the shape of skip."""
        x = functional.leaky_relu(self.enlarge(x)) + skip
        return functional.leaky_relu(self.conv(x))


def _unused() -> nn.ModuleList:
    """Second ways down and up that the released layers own and never take."""
    ways: list[nn.Module] = []
    for channels in LEVELS[:2]:
        wide = 2 * channels
        ways.append(nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(channels, wide, 1), convolution(wide, wide, groups=wide)))
    for channels in LEVELS[2:4]:
        double = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        narrow = (nn.Conv2d(channels, channels // 2, 1), convolution(channels // 2, channels // 2, groups=channels // 2))
        ways.append(nn.Sequential(double, nn.LeakyReLU(), *narrow))
    return nn.ModuleList(ways).requires_grad_(False)


def _tiling(ratio: int) -> tuple[int, int]:
    """Margin and stride in pixels of ms: 4 and 64 pixels of the guide, or what comes next that both grids share."""
    margin = next(m for m in count(1) if m * ratio >= MARGIN and m * ratio % 2 == 0)
    shared = lcm(STEP, ratio)
    return margin, max(STRIDE // shared, 1) * shared // ratio


@register(
    tasks={"ms", "hs"},
    title="U2Net",
    year=2023,
    paper="Peng, Guo, Wu, Deng, ACM MM 2023",
    doi="10.1145/3581783.3612084",
    licence="GPL-3.0 (PSRben/U2Net); written from a fact sheet, not from that code",
    faithful="equal to the released network with its published weights (WV3), with layers that are never used (`unused`, 105,760 "
    "parameters); as in the released code, images are fused in overlapping tiles, patches of a training whole",
    inferred=(
        "the released test adds a row and a column of tiles of zeros, which change nothing, and clips to [0, scale]: not here",
        "several guide bands: the first layer of the guide reads them all",
        "ratios other than 4: the first layer enlarges by the ratio; tiles step by the largest multiple of ratio and 4 up to 64 "
        "pixels, their margin is 4 pixels or the next that the grid of ms allows",
        "training patches whose sides are no multiple of 4: replicated at the lower and right border, then cropped",
    ),
)
class U2Net(RenamedNetwork):
    """Image and guide go down and up a U with the same weights; attention of the guide changes the image at every level.

    Its attention relates all pixels of a tile, 72 x 72 of the guide in evaluation mode, so a tile is not a part of the whole. lms
    is not used.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    renamed: ClassVar = (
        (r"^enlarge\.", "upsample.upsamle.0."),
        (r"^image_head\.", "raise_ms_dim."),
        (r"^guide_head\.", "raise_pan_dim."),
        (r"^tail\.", "to_hrms."),
        (r"^unused\.([01])\.", r"down\1.maxpool_conv."),
        *((rf"^unused\.{i + 2}\.", f"up{i}.up0.") for i in range(2)),
        (r"^down\.(\d)\.", r"down\1.conv."),
        (r"^up\.(\d)\.enlarge\.", r"up\1.up1.0."),
        (r"^up\.(\d)\.", r"up\1."),
        (r"^refine\.(\d)\.0\.", r"resblock\1.conv0."),
        (r"^refine\.(\d)\.2\.", r"resblock\1.conv1."),
        (r"^attend\.(\d)\.mlp\.2\.", r"s2block\1.layers.0.1.fn.fn.net.3."),
        (r"^attend\.(\d)\.mlp\.", r"s2block\1.layers.0.1.fn.fn.net."),
        (r"^attend\.(\d)\.mlp_norm\.", r"s2block\1.layers.0.1.fn.norm."),
        (r"^attend\.(\d)\.norm\.", r"s2block\1.layers.0.0.fn.norm."),
        (r"^attend\.(\d)\.", r"s2block\1.layers.0.0.fn.fn."),
        *((rf"\.guide_maps\.{i}\.", f".sa{i + 1}.") for i in range(2)),
        *((rf"\.image_maps\.{i}\.", f".se{i + 1}.") for i in range(2)),
        (r"\.out\.", ".to_out.0."),
    )

    recipe = Recipe("l1", 1e-3, 16, 500, schedule="every", every=100, gamma=0.5)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.enlarge = convolution(bands, bands * sensor.ratio**2, bias=False)
        self.image_head = nn.Sequential(convolution(bands, WIDTH), nn.LeakyReLU())
        self.guide_head = nn.Sequential(convolution(guide_bands, WIDTH), nn.LeakyReLU())
        self.attend = nn.ModuleList(JointAttention(channels) for channels in LEVELS)
        self.refine = nn.ModuleList(Bottleneck(channels) for channels in LEVELS[:-1])
        self.down = nn.ModuleList(_shrink(channels) for channels in LEVELS[:2])
        self.up = nn.ModuleList(Enlarge(channels) for channels in LEVELS[2:4])
        self.tail = nn.Sequential(convolution(WIDTH, WIDTH), nn.LeakyReLU(), convolution(WIDTH, bands))
        self.unused = _unused()

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Restore a training patch whole, any other image tile by tile."""
        return self.restore(ms, guide) if self.training else self._restore_tiles(ms, guide)

    def restore(self, ms: Tensor, guide: Tensor) -> Tensor:
        """The image (B, C, H, W) of ms and guide, with attention among all its pixels."""
        height, width = guide.shape[-2:]
        border = (0, -width % STEP, 0, -height % STEP)
        enlarged = functional.pixel_shuffle(self.enlarge(ms), self.ratio)
        enlarged, guide = (fast_layout(functional.pad(x, border, mode="replicate")) for x in (enlarged, guide))
        features = self._features(self.image_head(enlarged), self.guide_head(guide))
        return (self.tail(features) + enlarged)[..., :height, :width]

    def _features(self, x: Tensor, y: Tensor) -> Tensor:
        """Features of image and guide (B, 32, H, W) become those of the image."""
        skips = []
        for level, down in enumerate(self.down):
            x, y = self.attend[level](x, y), self.refine[level](y)
            skips.append((x, y))
            x, y = down(x), down(y)
        for level, up in enumerate(self.up, start=len(skips)):
            skip_x, skip_y = skips.pop()
            x, y = self.attend[level](x, y), self.refine[level](y)
            x, y = up(x, skip_x), up(y, skip_y)
        return self.attend[-1](x, y)

    def _restore_tiles(self, ms: Tensor, guide: Tensor) -> Tensor:
        height, width = guide.shape[-2:]
        margin, stride = _tiling(self.ratio)
        rows, columns = (ceil(side / stride) for side in ms.shape[-2:])
        at_once = rows_per_part(32 * WIDTH * (self.ratio * (stride + 2 * margin)) ** 2, ms.device)
        tiles = [_tiles(x, rows, columns, margin * f, stride * f).split(at_once) for x, f in ((ms, 1), (guide, self.ratio))]
        inside = slice(margin * self.ratio, (margin + stride) * self.ratio)
        restored = torch.cat([self.restore(*pair)[..., inside, inside] for pair in zip(*tiles, strict=True)])
        image = restored.unflatten(0, (len(ms), rows, columns)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        return image[..., :height, :width]


def _tiles(x: Tensor, rows: int, columns: int, margin: int, stride: int) -> Tensor:
    """Overlapping tiles of x (B, C, H, W), reflected at the border and zero beyond (B rows columns, C, side, side)."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (margin,) * 4, mode="reflect")
    x = functional.pad(x, (0, columns * stride - width, 0, rows * stride - height))
    side = stride + 2 * margin
    return x.unfold(2, side, stride).unfold(3, side, stride).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
