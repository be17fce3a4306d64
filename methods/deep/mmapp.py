"""MMAPP: multi-scale, multi-stream fusion with adaptive kernels in space, spectrum and both (CF2N repository)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._adaptive_layers import (
    AdaptiveResidualBlock,
    LocalAdaptiveConvolution,
    TapWeightedConvolution,
    global_taps,
)
from waldbench.methods.deep._blocks import ShuffleUpscale, bicubic
from waldbench.methods.deep._layers import Pointwise, convolution, fast_layout
from waldbench.methods.deep._mixed_attention import MixedAttention
from waldbench.methods.deep._ratio_four import RatioFourNetwork, lecun_normal
from waldbench.methods.recipes import Recipe

WIDTH = 32
BLOCKS = 5


class SpectralAdaptiveConvolution(TapWeightedConvolution):
    """SICM: tap weights per image, from the channel means, and a bias in (0, 1) per pixel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.taps = global_taps(inputs)
        squeeze = (convolution(inputs, outputs), nn.ReLU(), Pointwise(outputs, outputs), nn.ReLU(), Pointwise(outputs, outputs))
        self.bias = nn.Sequential(*squeeze, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.contract_globally(x, self.taps(x)) + self.bias(x)

    def padding_macs(self, x: Tensor) -> int:
        """None: one kernel for a whole image is an ordinary convolution."""
        return 0


class MixedAdaptiveConvolution(TapWeightedConvolution):
    """AFM: tap weights per pixel, from three mixed attentions in a row, times tap weights per image; no bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        mixed = (MixedAttention(inputs), nn.ReLU(), MixedAttention(9), nn.ReLU(), MixedAttention(9))
        self.local_taps = nn.Sequential(*mixed, nn.Sigmoid())
        self.global_taps = global_taps(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.contract(x, self.local_taps(x) * self.global_taps(x))


class GuideBranch(nn.Module):
    """Details of the guide in every band at half and at a quarter of the resolution, by spatially adaptive layers."""

    def __init__(self, guide_bands: int, bands: int) -> None:
        super().__init__()
        layer = LocalAdaptiveConvolution
        self.head = layer(guide_bands, WIDTH)
        self.first = AdaptiveResidualBlock(layer, WIDTH)
        self.to_half = layer(WIDTH, bands)
        self.middle = layer(WIDTH, WIDTH)
        self.second = AdaptiveResidualBlock(layer, WIDTH)
        self.to_low = layer(WIDTH, bands)

    def forward(self, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Details (B, bands, H/2, W/2) and (B, bands, H/4, W/4) of guide (B, G, H, W)."""
        x = self.head(guide).relu()
        half = functional.max_pool2d((self.first(x) + x).relu(), 2)
        y = self.middle(half).relu()
        low = functional.max_pool2d((self.second(y) + half).relu(), 2)
        return self.to_half(half), self.to_low(low)


class ImageBranch(nn.Module):
    """The image enlarged by 2 and by 4, by spectrally adaptive layers."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        layer = SpectralAdaptiveConvolution
        self.head = layer(bands, WIDTH)
        self.first = AdaptiveResidualBlock(layer, WIDTH)
        self.enlarge_first = ShuffleUpscale(WIDTH, 2)
        self.to_half = layer(WIDTH, bands)
        self.middle = layer(WIDTH, WIDTH)
        self.second = AdaptiveResidualBlock(layer, WIDTH)
        self.enlarge_second = ShuffleUpscale(WIDTH, 2)
        self.to_full = layer(WIDTH, bands)

    def forward(self, ms: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, bands, 2h, 2w) and (B, bands, 4h, 4w) of ms (B, bands, h, w)."""
        x = self.head(ms).relu()
        half = self.enlarge_first((self.first(x) + x).relu()).relu()
        y = self.middle(half).relu()
        full = self.enlarge_second((self.second(y) + half).relu()).relu()
        return self.to_half(half), self.to_full(full)


def mixed_blocks(channels: int) -> nn.Sequential:
    """Five residual blocks of mixed adaptive layers."""
    return nn.Sequential(*(AdaptiveResidualBlock(MixedAdaptiveConvolution, channels) for _ in range(BLOCKS)))


@register(
    tasks={"ms", "hs"},
    title="MMAPP",
    year=2023,
    paper="network file MMAPP of the CF2N repository; its paper is not identified",
    licence="Apache-2.0 repository; written from a description of its layers, not from the code",
    faithful="layers and parameters as released, with a stack of blocks that is never used (`unused`, 134,970 parameters)",
    inferred=(
        "the year is uncertain, as the paper is not identified",
        "guide of two bands: the first layer of the guide branch and the last stage take both",
        "LeCun initialisation of the convolutions; static adaptive kernels and shift kernels keep their own start",
        "the adaptive convolution also computes the zeros between image rows: 1.4 % more multiplications at 64x64 than released",
        "unified recipe: trained on the final output only, without the released loss on three other outputs",
    ),
)
class MMAPP(RatioFourNetwork):
    """Guide and image branches over three scales, fused on the way up; the last stage gives the image without a skip."""

    idle = ("to_low.", "to_half.")
    recipe = Recipe(
        "0.2 L1 at H/4 + 0.3 L1 at H/2 + 0.5 L1 + 0.01 L1 of the image branch against lms",
        3e-4,
        32,
        600,
        schedule="milestones",
        milestones=(100,),
        gamma=0.9,
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        wide = WIDTH + 2 * bands
        self.head = nn.Sequential(MixedAdaptiveConvolution(2 * bands, WIDTH), nn.PReLU())
        self.guide_branch = GuideBranch(guide_bands, bands)
        self.image_branch = ImageBranch(bands)
        self.low_blocks, self.to_low = mixed_blocks(WIDTH), convolution(WIDTH, bands)
        self.enlarge_low = ShuffleUpscale(WIDTH, 2)
        self.half_blocks, self.to_half = mixed_blocks(wide), convolution(wide, bands)
        self.enlarge_half = ShuffleUpscale(wide, 2)
        self.unused = mixed_blocks(WIDTH).requires_grad_(False)
        self.to_full = convolution(wide, bands)
        last = MixedAdaptiveConvolution(2 * bands + guide_bands, bands)
        self.tail = nn.Sequential(last, nn.ReLU(), MixedAdaptiveConvolution(bands, bands))
        lecun_normal(self)
        for part in self.modules():
            if isinstance(part, MixedAttention):
                part.start_from_shifts()

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """The output of the last stage."""
        return self.stages(ms, lms, guide)[-1]

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Weighted mean absolute errors of all four outputs; the reference is resized by bicubic interpolation."""
        low, half, image_full, fused = self.stages(ms, lms, guide)
        scaled = (functional.l1_loss(image, bicubic(gt, image.shape[-2:], align_corners=True)) for image in (low, half))
        parts = (*scaled, functional.l1_loss(fused, gt), functional.l1_loss(image_full, lms))
        return torch.stack([weight * part for weight, part in zip((0.2, 0.3, 0.5, 0.01), parts, strict=True)]).sum()

    def stages(self, ms: Tensor, lms: Tensor, guide: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Outputs of the two lower scales (H/4, H/2), the image branch's at full size, and the final image."""
        ms, guide = fast_layout(ms), fast_layout(guide)
        guide_half, guide_low = self.guide_branch(guide)
        image_half, image_full = self.image_branch(ms)
        features = self.low_blocks(self.head(torch.cat([ms, guide_low], 1)))
        low = self.to_low(features)
        features = functional.leaky_relu(self.enlarge_low(features), 0.2)
        features = self.half_blocks(torch.cat([features, image_half, guide_half], 1))
        half = self.to_half(features)
        full = self.to_full(functional.leaky_relu(self.enlarge_half(features), 0.2))
        return low, half, image_full, self.tail(torch.cat([full, guide, image_full], 1))
