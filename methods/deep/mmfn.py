"""MMFN: image and guide fused at three scales, each by two mixed streams (Jian, Wu, Chen, Vivone, Rayhana, Zhang, 2023)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.deep._released import RenamedNetwork
from waldbench.methods.recipes import Recipe

WIDTH, WIDE, SLOPE = 32, 128, 0.2
# Two halvings.
STEP = 4


def _activated(inputs: int, outputs: int, size: int = 3, bias: bool = False) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, outputs, size, bias=bias), nn.PReLU(init=SLOPE))


def _features(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        _activated(inputs, WIDTH), _activated(WIDTH, 2 * WIDTH, bias=True), _activated(2 * WIDTH, WIDTH, bias=True)
    )


class WideningBlock(nn.Sequential):
    """The sum of x and three activated convolutions of it, the middle one twice as wide, the last of size `size`."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(
            _activated(channels, channels),
            _activated(channels, 2 * channels, bias=True),
            _activated(2 * channels, channels, size, bias=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + super().forward(x)


def _mixer(inputs: int, outputs: int, width: int = WIDTH, *, inner: int = 3, last: int = 3, bias: bool = True) -> nn.Sequential:
    """A widening block between two activated convolutions; `inner` and `last` are the sizes of the kernels that differ."""
    return nn.Sequential(_activated(inputs, width), WideningBlock(width, inner), _activated(width, outputs, last, bias))


class Fusion(nn.Module):
    """Image and guide of one scale, mixed as they are and as features, and both results mixed again."""

    def __init__(self, bands: int, guide_bands: int) -> None:
        super().__init__()
        self.guide_features = _features(guide_bands)
        self.image_features = _features(bands)
        self.mix_images = _mixer(bands + guide_bands, bands)
        self.mix_features = _mixer(2 * WIDTH, bands, bias=False)
        self.mix_both = _mixer(2 * bands, bands, inner=5, last=1, bias=False)

    def forward(self, image: Tensor, guide: Tensor) -> Tensor:
        """Map image (B, C, H, W) and guide (B, G, H, W) to (B, C, H, W)."""
        images = self.mix_images(torch.cat([image, guide], 1))
        features = self.mix_features(torch.cat([self.image_features(image), self.guide_features(guide)], 1))
        return self.mix_both(torch.cat([images, features], 1))


def _doubling(bands: int) -> nn.Sequential:
    enlarge = nn.ConvTranspose2d(bands, bands, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(enlarge, nn.BatchNorm2d(bands), nn.PReLU(init=SLOPE))


@register(
    tasks={"ms", "hs"},
    title="MMFN",
    year=2023,
    paper="Jian, Wu, Chen, Vivone, Rayhana, Zhang, Remote Sensing 15(6):1666, 2023",
    doi="10.3390/rs15061666",
    licence="none stated (jianlihua123/MMFN); written from a fact sheet, not from that code",
    faithful="equal to the released network of three scales, the paper's, on shared weights given by a formula (the released "
    "configuration builds another one, of two scales)",
    inferred=(
        "images divided by the sensor's scale, where the released code trains on digital numbers",
        "several guide bands: the guide's features and the mixture of images read them all",
        "sizes that are no multiple of 4: replicated at the lower and right border, then cropped",
        "ratios other than 4: ms is enlarged by the ratio; the scales stay 1/4, 1/2 and 1 of the guide's",
    ),
)
class MMFN(RenamedNetwork):
    """Fused at a quarter, half and full scale, each result carried up to the next; a PReLU damps all negative details.

    lms is not used: ms is enlarged by bilinear interpolation.
    """

    renamed: ClassVar = (
        (r"^fuse_half\.", "net1."),
        (r"^fuse_full\.", "net2."),
        (r"^fuse_quarter\.", "net3."),
        (r"^join_half\.", "net4."),
        (r"^join_full\.", "net5."),
        (r"^to_half\.", "upconv2_1."),
        (r"^to_full\.", "upconv1."),
        (r"\.image_features\.", ".M_feature.conv"),
        (r"\.guide_features\.", ".p_feature.conv"),
        (r"\.mix_images\.", ".net1."),
        (r"\.mix_features\.2\.", ".net2.conv3."),
        (r"\.mix_features\.", ".net2."),
        (r"\.mix_both\.", ".net3."),
        # The three layers of a mixture, and those of the block in its middle.
        (r"(net\d)\.1\.(\d)\.", r"\1.conv1.conv\2."),
        (r"(net\d)\.([02])\.", r"\1.conv\2."),
    )

    recipe = Recipe(
        "mean of L1 at a quarter, half and full scale, the reference halved by 2x2 means",
        1e-4,
        8,
        400,
        schedule="milestones",
        milestones=(200, 400),
        gamma=0.5,
        notes=("the released code trains on digital numbers, in patches of 256 pixels, flipped and rotated",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.fuse_quarter, self.fuse_half, self.fuse_full = (Fusion(bands, guide_bands) for _ in range(3))
        self.to_half, self.to_full = _doubling(bands), _doubling(bands)
        self.join_half, self.join_full = _mixer(2 * bands, bands, WIDE), _mixer(2 * bands, bands, WIDE)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """The image at full scale."""
        height, width = guide.shape[-2:]
        return self.stages(ms, guide)[0][..., :height, :width]

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Mean of the mean absolute errors at the three scales."""
        pairs = zip(self.stages(ms, guide), _pyramid(_padded(gt)), strict=True)
        return torch.stack([functional.l1_loss(image, reference) for image, reference in pairs]).mean()

    def stages(self, ms: Tensor, guide: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images at full, half and quarter scale of the guide, which is padded to multiples of 4."""
        image = functional.interpolate(ms, size=guide.shape[-2:], mode="bilinear")
        image_full, image_half, image_quarter = _pyramid(_padded(image))
        guide_full, guide_half, guide_quarter = _pyramid(_padded(guide))
        quarter = self.fuse_quarter(image_quarter, guide_quarter)
        joined = self.join_half(torch.cat([image_half, self.to_half(quarter)], 1))
        half = self.fuse_half(joined, guide_half)
        joined = self.join_full(torch.cat([image_full, self.to_full(half)], 1))
        return joined + self.fuse_full(joined, guide_full), half, quarter


def _padded(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    return fast_layout(functional.pad(x, (0, -width % STEP, 0, -height % STEP), mode="replicate"))


def _pyramid(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    half = functional.avg_pool2d(x, 2)
    return x, half, functional.avg_pool2d(half, 2)
