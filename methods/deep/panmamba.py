"""Pan-Mamba: state-space layers that swap channels and cross between two streams (He et al., Information Fusion, 2025)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution
from waldbench.methods.deep._mamba import PATH_NAMES, ScanPath, scan
from waldbench.methods.deep._naming import RenamedNetwork, Renames
from waldbench.methods.recipes import Recipe

WIDTH, INNER, STATES = 32, 64, 16
SINGLE, SWAPS, CROSSES, HALVES = 8, 2, 5, 3
SLOPE = 0.2
Pair = tuple[Tensor, Tensor]


class HalfNormalisedBlock(nn.Module):
    """HIN block: a residual block that normalises half of the channels of every image (Chen et al., CVPR workshops 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Conv2d(WIDTH, WIDTH, 1).requires_grad_(False)
        self.first, self.second = convolution(WIDTH, WIDTH), convolution(WIDTH, WIDTH)
        self.norm = nn.InstanceNorm2d(WIDTH // 2, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 32, H, W) to the same shape."""
        left, right = functional.leaky_relu(self.first(x), SLOPE).chunk(2, 1)
        return x + functional.leaky_relu(self.second(torch.cat([self.norm(left), right], 1)), SLOPE)


class TokenMap(nn.Module):
    """Pixels as tokens (B, H W, 32), each through the same linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(WIDTH, WIDTH, 1)
        self.unused = nn.Parameter(torch.ones(WIDTH), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 32, H, W) to tokens."""
        return self.map(x).flatten(2).mT


class StateSpaceLayer(nn.Module):
    """Mamba: tokens spread to 64 channels, scanned row by row, gated and joined again."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(WIDTH, 2 * INNER, bias=False)
        self.paths = nn.ModuleList([ScanPath(INNER, STATES, WIDTH)])
        self.leave = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, L, 32) to the same shape."""
        tokens, gate = self.enter(x).chunk(2, -1)
        return self.leave(scan(self.paths, [tokens], [None])[0] * functional.silu(gate))


class TwoStreamLayer(nn.Module):
    """Two scans, of the image's and of the guide's tokens, each gated by its own; their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(WIDTH, 2 * INNER, bias=False)
        self.enter_other = nn.Linear(WIDTH, 2 * INNER, bias=False)
        self.paths = nn.ModuleList(ScanPath(INNER, STATES, WIDTH) for _ in range(2))
        self.leave = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map two sequences (B, L, 32) to one."""
        tokens, gates = zip(*(layer(y).chunk(2, -1) for layer, y in ((self.enter, x), (self.enter_other, other))), strict=True)
        found = scan(self.paths, tokens, [None, None])
        return self.leave(found[0] * functional.silu(gates[0]) + found[1] * functional.silu(gates[1]))


class SingleBlock(nn.Module):
    """Add to what the stream has gathered, normalise, scan."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(WIDTH), StateSpaceLayer()

    def forward(self, x: Tensor, gathered: Tensor) -> Pair:
        """Map tokens and the sum gathered so far (B, L, 32) to the next of both."""
        gathered = x + gathered
        return self.layer(self.norm(gathered)), gathered


class SwapBlock(nn.Module):
    """Single blocks of both streams whose scans see half of the channels of the other stream."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_image, self.norm_guide = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.image, self.guide = StateSpaceLayer(), StateSpaceLayer()

    def forward(self, image: Pair, guide: Pair) -> tuple[Pair, Pair]:
        """Map tokens and gathered sums of both streams to the next."""
        image_sum, guide_sum = image[0] + image[1], guide[0] + guide[1]
        (a, b), (c, d) = (norm(x).chunk(2, -1) for norm, x in ((self.norm_image, image_sum), (self.norm_guide, guide_sum)))
        return (self.image(torch.cat([c, b], -1)), image_sum), (self.guide(torch.cat([a, d], -1)), guide_sum)


class CrossBlock(nn.Module):
    """Scan the image's tokens together with the guide's, then smooth the result as an image."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.norm_guide = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.layer, self.smooth = TwoStreamLayer(), convolution(WIDTH, WIDTH, groups=WIDTH)

    def forward(self, image: Tensor, gathered: Tensor, guide: Tensor, width: int) -> Pair:
        """Map the image's tokens, their gathered sum and the guide's tokens (B, L, 32) to the next of the first two."""
        gathered = image + gathered
        # Each norm twice with the same weights, as released.
        found = self.layer(self.norm(self.norm(gathered)), self.norm_guide(self.norm_guide(guide)))
        found = as_image(found, width)
        return (found + self.smooth(found)).flatten(2).mT, gathered


class Refine(nn.Module):
    """Convolutions with a gate per channel between them."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.head, self.tail = convolution(WIDTH, WIDTH), convolution(WIDTH, bands)
        self.process = nn.Sequential(convolution(WIDTH, WIDTH), nn.ReLU(), convolution(WIDTH, WIDTH))
        squeeze = nn.AdaptiveAvgPool2d(1), nn.Conv2d(WIDTH, 8, 1), nn.ReLU(), nn.Conv2d(8, WIDTH, 1), nn.Sigmoid()
        self.gate = nn.Sequential(*squeeze)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 32, H, W) to (B, C, H, W)."""
        x = self.head(x)
        found = self.process(x)
        return self.tail(x + self.gate(found) * found)


def as_image(tokens: Tensor, width: int) -> Tensor:
    """Tokens (B, H W, C) as an image (B, C, H, W)."""
    return tokens.unflatten(1, (-1, width)).permute(0, 3, 1, 2)


@register(
    tasks={"ms", "hs"},
    title="Pan-Mamba",
    year=2025,
    paper="He, Cao, Yan, Li, Xie, Zhang, Zhou, Information Fusion, 2025; arXiv:2402.12192",
    licence="none seen (alexhe101/Pan-Mamba); written from a fact sheet, not from that code",
    faithful="equal to the released network, its CUDA scan replaced by the published definition, on shared weights given by a "
    "formula; layers that it registers and never uses are counted (`unused`)",
    inferred=(
        "the release has 4 bands and a grid of 1024x1024 pixels written into it: here any number of bands and the grid at hand",
        "published multiplications leave out the scans: about 3 for every pixel, channel and state",
        "the published numbers belong to other files than PanCollection's",
        "ratios other than 4: nearest-neighbour enlargement by the ratio; guide of two bands: the first convolution takes both",
    ),
)
class PanMamba(RenamedNetwork):
    """Two streams of scanned pixels that swap halves, then cross; details added to the enlarged image."""

    recipe = Recipe(
        "l1",
        5e-4,
        4,
        500,
        clip=4.0,
        notes=("patches of 128 pixels in 8-bit range; the released step of 0.1 at epoch 500 is never reached",),
    )
    renames: ClassVar[Renames] = (
        *PATH_NAMES,
        (r"^encode_guide\.", "pan_encoder."),
        (r"^encode_image\.", "ms_encoder."),
        (r"^(pan_encoder|ms_encoder)\.(\d)\.unused\.", r"\1.\2.identity."),
        (r"\.first\.", ".conv_1."),
        (r"\.second\.", ".conv_2."),
        (r"^mix\.0\.", "shallow_fusion1."),
        (r"^mix\.1\.", "shallow_fusion2."),
        (r"^tokens_guide\.", "pan_to_token."),
        (r"^tokens_image\.", "ms_to_token."),
        (r"_to_token\.map\.", "_to_token.proj."),
        (r"_to_token\.unused", "_to_token.norm.body.weight"),
        (r"^single_guide\.", "pan_feature_extraction."),
        (r"^single_image\.", "ms_feature_extraction."),
        (r"_extraction\.(\d)\.norm\.", r"_extraction.\1.norm.body."),
        (r"_extraction\.(\d)\.layer\.", r"_extraction.\1.encoder."),
        *((rf"^swaps\.{i}\.", f"swap_mamba{i + 1}.") for i in range(SWAPS)),
        (r"^(swap_mamba\d)\.norm_image\.", r"\1.norm1.body."),
        (r"^(swap_mamba\d)\.norm_guide\.", r"\1.norm2.body."),
        (r"^(swap_mamba\d)\.image\.", r"\1.msencoder."),
        (r"^(swap_mamba\d)\.guide\.", r"\1.panencoder."),
        *((rf"^crosses\.{i}\.", f"deep_fusion{i + 1}.") for i in range(CROSSES)),
        (r"^(deep_fusion\d)\.norm\.", r"\1.norm1.body."),
        (r"^(deep_fusion\d)\.norm_guide\.", r"\1.norm2.body."),
        (r"^(deep_fusion\d)\.layer\.", r"\1.cross_mamba."),
        (r"\.smooth\.", ".dwconv."),
        (r"\.enter\.", ".in_proj."),
        (r"\.enter_other\.", ".in_proj_extra."),
        (r"\.leave\.", ".out_proj."),
        (r"^refine\.head\.", "output.conv_in."),
        (r"^refine\.tail\.", "output.conv_last."),
        (r"^refine\.process\.", "output.process.0.process."),
        *((rf"^refine\.gate\.{i}\.", f"output.process.0.conv_du.{i - 1}.") for i in (1, 3)),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)

        def encoder(inputs: int) -> nn.Sequential:
            return nn.Sequential(convolution(inputs, WIDTH), *(HalfNormalisedBlock() for _ in range(HALVES)))

        self.encode_guide, self.encode_image = encoder(guide_bands), encoder(sensor.count)
        self.tokens_guide, self.tokens_image = TokenMap(), TokenMap()
        self.single_guide, self.single_image = (nn.ModuleList(SingleBlock() for _ in range(SINGLE)) for _ in range(2))
        self.swaps = nn.ModuleList(SwapBlock() for _ in range(SWAPS))
        self.mix = nn.ModuleList(convolution(2 * WIDTH, WIDTH) for _ in range(2))
        self.crosses = nn.ModuleList(CrossBlock() for _ in range(CROSSES))
        self.refine = Refine(sensor.count)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the details to ms, enlarged by repeating its pixels; lms is not used."""
        image = functional.interpolate(ms, scale_factor=float(self.ratio), mode="nearest")
        found = self._swapped(self.tokens_image(self.encode_image(image)), self.tokens_guide(self.encode_guide(guide)))
        # What the streams gathered besides is dropped here and after the last block, as released.
        width = image.shape[-1]
        x, y = (as_image(tokens, width) for tokens in found)
        x = x + self.mix[0](torch.cat([x, y], 1))
        y = y + self.mix[1](torch.cat([y, x], 1))
        tokens, others = self.tokens_image(x), self.tokens_guide(y)
        gathered = torch.zeros_like(tokens)
        for block in self.crosses:
            tokens, gathered = block(tokens, gathered, others, width)
        return image + self.refine(as_image(tokens, width))

    def _swapped(self, image: Tensor, guide: Tensor) -> Pair:
        """Both streams' tokens (B, L, 32) after the single and the swap blocks."""
        streams = []
        for tokens, blocks in ((image, self.single_image), (guide, self.single_guide)):
            state = tokens, torch.zeros_like(tokens)
            for block in blocks:
                state = block(*state)
            streams.append(state)
        for block in self.swaps:
            streams = block(*streams)
        return streams[0][0], streams[1][0]
