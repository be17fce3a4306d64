"""WFANet: attention of wavelet sub-bands and multi-scale fusion (Huang, Huang, Xu, Peng, Duan, Deng, AAAI 2025)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._attention import attend
from waldbench.methods.deep._layers import convolution, haar, inverse_haar
from waldbench.methods.deep._naming import RenamedNetwork, Renames
from waldbench.methods.deep._ratio_four import RatioFourNetwork
from waldbench.methods.deep._tiles import fuse_in_tiles
from waldbench.methods.recipes import Recipe

WIDTH, HIDDEN, HEADS = 32, 16, 4
DROP, SLOPE = 0.085, 0.01
SUB_BANDS = ("ll", "lh", "hl", "hh")
# The published sub-bands (low, rows, columns, both) as multiples of those of `haar`, which are LL, HL, LH, HH.
SIGNS = (0.5, -0.5, -0.5, 0.5)


def sub_bands(x: Tensor) -> list[Tensor]:
    """Means and half differences of 2x2 blocks of x (B, C, H, W): ll, lh (top minus bottom), hl (left minus right), hh."""
    low, columns, rows, both = (sign * band for sign, band in zip(SIGNS, haar(x), strict=True))
    return [low, rows, columns, both]


def joined(bands: list[Tensor]) -> Tensor:
    """The inverse of `sub_bands`."""
    low, rows, columns, both = bands
    return inverse_haar(torch.cat([2 * low, -2 * columns, -2 * rows, 2 * both], 1))


def per_pixel(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer of channel vectors to every pixel of x (B, C, H, W)."""
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def prelu(channels: int) -> nn.PReLU:
    """A PReLU with a slope per channel."""
    return nn.PReLU(channels, init=SLOPE)


def raised(inputs: int) -> nn.Sequential:
    """Features of an image: 5x5, PReLU, 3x3."""
    return nn.Sequential(convolution(inputs, WIDTH, 5), prelu(WIDTH), convolution(WIDTH, WIDTH))


class Residual(nn.Module):
    """x + conv(PReLU(conv(x)))."""

    def __init__(self) -> None:
        super().__init__()
        self.first = convolution(WIDTH, WIDTH)
        self.second = convolution(WIDTH, WIDTH)
        self.act = prelu(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 32, H, W) to the same shape."""
        return x + self.second(self.act(self.first(x)))


class Mix(nn.Module):
    """A weighted mean of three maps, at first of equal parts, and a residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.33))
        self.b = nn.Parameter(torch.tensor(0.33))
        self.residual = Residual()

    def forward(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Map three maps (B, 32, H, W) to one."""
        return self.residual(self.a * x + self.b * y + (1 - self.a - self.b) * z)


class Feed(nn.Module):
    """To 16 channels, a residual step, and back to 32; the way in and out is by pixel or by 3x3, dilated on the way in."""

    def __init__(self, dilated: bool) -> None:
        super().__init__()
        self.dilated = dilated
        self.squeeze = convolution(WIDTH, HIDDEN, dilation=2) if dilated else nn.Linear(WIDTH, HIDDEN)
        self.first = convolution(HIDDEN, HIDDEN)
        self.second = convolution(HIDDEN, HIDDEN, 1)
        self.act = prelu(HIDDEN)
        self.widen = convolution(HIDDEN, WIDTH) if dilated else nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 32, H, W) to the same shape."""
        x = self.squeeze(x) if self.dilated else per_pixel(self.squeeze, x)
        x = x + self.second(self.act(self.first(x)))
        return self.widen(x) if self.dilated else per_pixel(self.widen, x)


def bottleneck() -> list[nn.Module]:
    """32 to 64 to 32 channels."""
    return [nn.Linear(WIDTH, 2 * WIDTH), nn.LeakyReLU(), nn.Linear(2 * WIDTH, WIDTH)]


class SubBandAttention(nn.Module):
    """Attention over all pixels: which sub-band pixels resemble which of the lowest sub-band decides what is taken from v."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Sequential(nn.LayerNorm(WIDTH), *bottleneck()) for _ in range(3))
        self.drop = nn.Dropout(DROP)
        self.inner = nn.Sequential(*bottleneck())
        self.outer = nn.Sequential(*bottleneck())

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map three maps (B, H, W, 32), channels last, to one."""
        value = self.value(value)
        tokens = [x.flatten(1, 2).unflatten(2, (HEADS, -1)).transpose(1, 2) for x in (self.query(query), self.key(key), value)]
        found = attend(*tokens).transpose(1, 2).reshape(value.shape)
        x = value + self.inner(self.drop(found))
        return x + self.outer(x)


class WaveletBlock(nn.Module):
    """Fuse guide features with image features of half their size and features from the scale below, sub-band by sub-band."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(SubBandAttention() for _ in SUB_BANDS)
        self.gates = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in SUB_BANDS)
        self.mix, self.feed = Mix(), Feed(dilated=False)
        self.before, self.after, self.of_guide, self.of_image = (Residual() for _ in range(4))
        self.feed_guide, self.feed_image = Feed(dilated=True), Feed(dilated=True)

    def forward(self, guide: Tensor, image: Tensor, back: Tensor) -> Tensor:
        """Map guide (B, 32, H, W), image and back (B, 32, H/2, W/2) to (B, 32, H, W)."""
        bands = sub_bands(guide)
        value = self.before(self.mix(bands[0], image, self.feed(back))).permute(0, 2, 3, 1)
        last = [band.permute(0, 2, 3, 1) for band in bands]
        attended = [layer(band, last[0], value) for layer, band in zip(self.attention, last, strict=True)]
        gates = [gate(band).sigmoid() for gate, band in zip(self.gates, last, strict=True)]
        details, mixed = (joined([band.permute(0, 3, 1, 2) for band in four]) for four in (gates, attended))
        return self.after(self.feed_guide(self.of_guide(details)) + self.feed_image(self.of_image(mixed)))


@register(
    tasks={"ms", "hs"},
    title="WFANet",
    year=2025,
    paper="Huang, Huang, Xu, Peng, Duan, Deng, AAAI 2025; arXiv:2502.04903",
    licence="none stated (Jie-1203/WFANet); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula",
    inferred=(
        "Haar transforms take no multiplications: 0.2 % fewer at 64x64 than released",
        "images larger than 64 pixels a side are fused in tiles of 64 with a margin of 4, as attention costs the square of the "
        "pixels: at 256x256 a quarter of the multiplications of the whole image; the authors' margins are 4 to 8",
        "the published rate of dropout is kept; it is applied to what attention returns, as its place was not described",
        "guide of two bands: the first convolution of the guide takes both",
    ),
)
class WFANet(RatioFourNetwork, RenamedNetwork):
    """Sub-bands of the guide steer, by attention at two scales, what is taken from the image; added to lms.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        tile: side of the tiles in pixels of the guide, a multiple of 4; 0: every image in one piece.
    """

    recipe = Recipe(
        "l1",
        9e-4,
        32,
        360,
        weight_decay=1e-8,
        schedule="every",
        every=1,
        gamma=0.5 ** (1 / 90),
        notes=("the released training keeps weight decay from parameters whose name contains 'bias'",),
    )
    renames: ClassVar[Renames] = (
        (r"^enlarge\.", "lms.0."),
        (r"^raise_(\w+)\.", r"\1_raise_channel.raise_conv."),
        (r"^reduce\.", "reduce_channel.reduce_conv."),
        (r"^low\.", "L_MWiT_block."),
        (r"^full\.", "F_MWiT_block.s_mwit."),
        (r"^last_", "F_MWiT_block."),
        *((rf"\.attention\.{i}\.", f".v_{band}_attn.") for i, band in enumerate(SUB_BANDS)),
        *((rf"\.gates\.{i}\.", f".wd_{band}_conv.linear.") for i, band in enumerate(SUB_BANDS)),
        (r"_attn\.(q|k|v)\w+\.", r"_attn.\1."),
        (r"\.inner\.", ".mlp_1."),
        (r"\.outer\.", ".mlp_2."),
        (r"\.feed\.squeeze\.", ".mlp.linear_1."),
        (r"\.feed\.widen\.", ".mlp.linear_2."),
        (r"\.feed\.", ".mlp."),
        (r"\.feed_guide\.", ".conv_x."),
        (r"\.feed_image\.", ".conv_v."),
        *((rf"(conv_[xv])\.{ours}\.", rf"\1.conv{i + 1}.") for i, ours in enumerate(("squeeze", "first", "second", "widen"))),
        (r"\.mix\.residual\.", ".combine.resblock."),
        (r"\.mix\.", ".combine."),
        (r"\.before\.", ".resblock."),
        (r"\.after\.", ".resblock_1."),
        (r"\.of_guide\.", ".conv_idwt_pan.res_block."),
        (r"\.of_image\.", ".conv_idwt_up.res_block."),
        (r"\.residual\.", ".resblock."),
        (r"\.first\.", ".conv1."),
        (r"\.second\.", ".conv2."),
        (r"^act_image\.", "act_1."),
        (r"^act_fused\.", "act_2."),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, tile: int = 64) -> None:
        if tile % 4 or tile < 0:
            raise ValueError(f"tile: expected a multiple of 4, or 0 for no tiles, got {tile}")
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.tile = tile
        self.enlarge = convolution(bands, 16 * bands)
        self.raise_pan, self.raise_lms, self.raise_ms = raised(guide_bands), raised(bands), raised(bands)
        self.low, self.full = WaveletBlock(), WaveletBlock()
        self.last_feed, self.last_mix, self.last_residual = Feed(dilated=False), Mix(), Residual()
        last = convolution(WIDTH, WIDTH), prelu(WIDTH), convolution(WIDTH, bands), convolution(bands, bands)
        self.reduce = nn.Sequential(*last)
        self.act_image, self.act_fused = prelu(bands), prelu(bands)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse in tiles, or in one piece if the image is small or `tile` is 0."""
        side = self.tile // 4 or max(ms.shape[-2:])
        return fuse_in_tiles(self.fuse_whole, (ms, lms, guide), 4, side)

    def fuse_whole(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Fuse in one piece."""
        image = self.act_image(functional.pixel_shuffle(self.enlarge(ms), 4) + lms)
        features, details = self.raise_lms(image), self.raise_pan(guide)
        low = self.low(functional.avg_pool2d(details, 2), functional.avg_pool2d(features, 4), self.raise_ms(ms))
        full = self.full(details, functional.avg_pool2d(features, 2), low)
        last = self.last_residual(self.last_mix(details, features, self.last_feed(full)))
        return self.act_fused(image + self.reduce(last))
