"""DBDENet: details from a guide that goes down in scale and an intensity that goes up (Qu et al., IEEE TGRS 60, 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import OfficialNetwork, bicubic, damp_
from waldbench.methods.deep._layers import convolution, fast_layout, planes
from waldbench.methods.deep._ratio_four import RatioFourNetwork
from waldbench.methods.recipes import Recipe

WIDTH, BLOCKS = 64, 6
# Registered in the released network and called by no path.
NEVER_CALLED = ("bn4.", "bn5.", "bn9.", "bn10.")


def _activated(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU())


def _doubled(inputs: int, outputs: int) -> nn.Sequential:
    upscale = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(upscale, nn.BatchNorm2d(outputs), nn.ReLU())


class NormalisedResidualBlock(nn.Module):
    """The sum x + BN(conv(ReLU(BN(conv(x))))), 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_activated(channels, channels), convolution(channels, channels), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + self.branch(x)


def _trunk(inputs: int, channels: int) -> nn.Sequential:
    blocks = (NormalisedResidualBlock(channels) for _ in range(BLOCKS))
    return nn.Sequential(_activated(inputs, channels), _activated(channels, channels), *blocks)


class CrossAttention(nn.Module):
    """Join two streams: each takes a share of the other where its own attention is high; their sum goes on."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.look = nn.ModuleList(convolution(2, 1, bias=False) for _ in range(2))
        self.join = nn.ModuleList(nn.Conv2d(2 * channels, outputs, 1) for _ in range(2))

    def forward(self, guide: Tensor, image: Tensor) -> Tensor:
        """Map both streams (B, C, H, W) to (B, outputs, H, W)."""
        seen = image * self._attention(0, guide), guide * self._attention(1, image)
        return self.join[0](torch.cat([guide, seen[0]], 1)) + self.join[1](torch.cat([image, seen[1]], 1))

    def _attention(self, stream: int, x: Tensor) -> Tensor:
        # The published order is mean, maximum.
        attention: Tensor = self.look[stream](planes(x).flip(1)).sigmoid()
        return attention


def _trunk_names(own: str, prefix: str, layer: int, residual: int) -> dict[str, str]:
    names = {f"{own}.{i}.{part}": f"{prefix}{kind}{layer + i}" for i in range(2) for part, kind in enumerate(("conv", "bn"))}
    inner = {"0.0": "0", "0.1": "1", "1": "3", "2": "4"}
    for block in range(BLOCKS):
        stem = f"{prefix}residual{residual}{block + 1}.net"
        names |= {f"{own}.{block + 2}.branch.{ours}": f"{stem}.{theirs}" for ours, theirs in inner.items()}
    return names


def _official() -> dict[str, str]:
    names = _trunk_names("guide_full.0", "PAN_extract.", 1, 1) | _trunk_names("guide_half.1", "PAN_extract.", 4, 2)
    names |= _trunk_names("image_half.0", "", 1, 3) | _trunk_names("image_full.0", "", 6, 4)
    ends = {"guide_full.1": ("PAN_extract.conv3", "PAN_extract.bn3"), "guide_half.2": ("PAN_extract.conv6", "PAN_extract.bn6")}
    ends |= {"image_half.1": ("deconv1", "bn3"), "image_full.1": ("deconv2", "bn8")}
    names |= {f"{own}.{part}": theirs for own, pair in ends.items() for part, theirs in enumerate(pair)}
    for number, (scale, first) in enumerate((("half", 4), ("full", 9)), 1):
        for stream in range(2):
            names[f"join_{scale}.look.{stream}"] = f"Attention{number}_{stream + 1}.conv1"
            names[f"join_{scale}.join.{stream}"] = f"conv{first + stream}"
    return names


@register(
    tasks={"hs", "ms"},
    title="DBDENet",
    year=2022,
    paper="Qu, Hou, Dong, Xiao, Du, Li, IEEE TGRS 60, 2022",
    doi="10.1109/TGRS.2021.3130420",
    licence="none stated (Jiahuiqu/DBDENet; CF2N's copy: Apache-2.0); written from a fact sheet, not from that code",
    faithful="equal to the released network with weights given by a formula, less four normalisations that it never calls",
    inferred=(
        "the low-resolution intensity, which the released code reads from files, is the mean of the bands",
        "initial weights of the last 1x1 convolutions are divided by 10: details would start as large as the image",
        "several guide bands: stacked",
    ),
)
class DBDENet(RatioFourNetwork, OfficialNetwork):
    """Two streams, the guide from full to half scale and the intensity from quarter to half, joined by cross attention.

    The details go on top of the bicubic image. Published training: L1, Adam at 5e-4 with weight decay 1e-4, a tenth of it every
    200 of 500 epochs, batches of 8.

    Args:
        sensor: sensor of the images, ratio 4.
        guide_bands: channels of the guide.
    """

    official: ClassVar = _official()

    recipe = Recipe("l1", 5e-4, 8, 500, weight_decay=1e-4, schedule="every", every=200, gamma=0.1)

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        wide = 2 * WIDTH
        self.guide_full = nn.Sequential(_trunk(guide_bands, WIDTH), _activated(WIDTH, wide))
        self.guide_half = nn.Sequential(nn.AvgPool2d(3, stride=2, padding=1), _trunk(wide, wide), _activated(wide, wide))
        self.image_half = nn.Sequential(_trunk(1, WIDTH), _doubled(WIDTH, wide))
        self.join_half = CrossAttention(wide, wide)
        self.image_full = nn.Sequential(_trunk(wide, wide), _doubled(wide, wide))
        self.join_full = CrossAttention(wide, sensor.count)
        damp_((layer for layer in self.join_full.join if isinstance(layer, nn.Conv2d)), 10)

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Load a released state dictionary, less what its network never calls."""
        super().load_official({name: value for name, value in state.items() if not name.startswith(NEVER_CALLED)})

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the details of both branches to the bicubic image."""
        full = self.guide_full(fast_layout(guide))
        half = self.join_half(self.guide_half(full), self.image_half(fast_layout(ms.mean(1, keepdim=True))))
        return bicubic(ms, lms.shape[-2:]) + self.join_full(full, self.image_full(half))
