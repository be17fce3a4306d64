"""TFNet: two streams fused in feature space and restored by a decoder (Liu, Liu, Wang, Information Fusion 55, 2020)."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import Network, register
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

DEPTH = 4


def _activated(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.PReLU())))


def _down(channels: int) -> nn.Module:
    return nn.Conv2d(channels, 2 * channels, 2, stride=2)


def _up(channels: int) -> nn.Module:
    return nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)


class Encoder(nn.Module):
    """Features of one stream at full (32 channels) and half scale (64 channels)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.stay = _activated(convolution(inputs, 32), convolution(32, 32))
        self.shrink = _activated(_down(32))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, inputs, H, W) to (B, 32, H, W) and (B, 64, H/2, W/2)."""
        full = self.stay(x)
        return full, self.shrink(full)


@register(
    tasks={"ms", "hs", "sar"},
    title="TFNet",
    year=2020,
    paper="Liu, Liu, Wang, Information Fusion 55, 2020",
    doi="10.1016/j.inffus.2019.07.010",
    licence="none stated (liouxy/tfnet_pytorch); written from a fact sheet, not from that code",
    faithful="the paper's TFNet, equal to the released network on shared weights given by a formula; data stretched to [-1, 1]",
    inferred=(
        "sizes that are no multiple of 4: replicated at the lower and right border, then cropped",
        "several guide bands: the guide's encoder reads them all",
        "SAR guides: nothing in the published network is tied to PAN",
    ),
)
class TFNet(Network):
    """Encoders for lms and guide, fusion at half and quarter scale, decoder with skips; tanh keeps the image in [0, scale].

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    recipe = Recipe("L1 on images in [-1, 1]", 1e-4, 64, 600, schedule="every", every=250, gamma=0.5)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.guide_encoder = Encoder(guide_bands)
        self.image_encoder = Encoder(sensor.count)
        self.fuse_half = _activated(convolution(128, 128), convolution(128, 128))
        self.shrink = _activated(_down(128))
        self.restore_quarter = _activated(convolution(256, 256), convolution(256, 256), _up(256))
        self.restore_half = _activated(convolution(256, 128), convolution(128, 128), _up(128))
        self.restore_full = _activated(convolution(128, 64), convolution(64, 64)).append(convolution(64, sensor.count))
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                taps = layer.kernel_size[0] * layer.kernel_size[1]
                nn.init.normal_(layer.weight, std=sqrt(2 / (taps * layer.out_channels)))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Restore the image from lms and guide, both stretched from [0, 1] to [-1, 1]."""
        height, width = lms.shape[-2:]
        border = (0, -width % DEPTH, 0, -height % DEPTH)
        image, guide = (fast_layout(functional.pad(2 * x - 1, border, mode="replicate")) for x in (lms, guide))
        return (self._restore(image, guide)[..., :height, :width] + 1) / 2

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Mean absolute error in [-1, 1], twice that in [0, 1]."""
        return 2 * functional.l1_loss(self.fuse(ms, lms, guide), gt)

    def _restore(self, image: Tensor, guide: Tensor) -> Tensor:
        guide_full, guide_half = self.guide_encoder(guide)
        image_full, image_half = self.image_encoder(image)
        half = self.fuse_half(torch.cat([guide_half, image_half], 1))
        x = self.restore_quarter(self.shrink(half))
        x = self.restore_half(torch.cat([x, half], 1))
        return self.restore_full(torch.cat([x, image_full, guide_full], 1)).tanh()
