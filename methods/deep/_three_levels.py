"""The frame that CANNet and ARNet share: five residual blocks over three scales, with details added to lms."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.deep._layers import convolution
from waldbench.methods.deep._naming import RenamedNetwork, Renames

WIDTH = 32
# Channels of the five blocks.
WIDTHS = (WIDTH, 2 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH)
# Two halvings.
STEP = 4


class Down(nn.Module):
    """Half the size and twice the channels: 2x2 convolution of stride 2, LReLU, depth-wise 3x3, 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.halve = nn.Conv2d(channels, channels, 2, stride=2)
        self.smooth = convolution(channels, channels, groups=channels, bias=False)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 2 C, H/2, W/2)."""
        return self.widen(self.smooth(functional.leaky_relu(self.halve(x))))


class Up(nn.Module):
    """Twice the size and half the channels, joined with a skip: transposed convolution, sum, depth-wise 3x3, 1x1."""

    def __init__(self, channels: int, bias: bool = False) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.smooth = convolution(channels // 2, channels // 2, groups=channels // 2, bias=bias)
        self.mix = nn.Conv2d(channels // 2, channels // 2, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map x (B, C, H, W) and skip (B, C/2, 2 H, 2 W) to the shape of the skip."""
        x = functional.leaky_relu(self.enlarge(x)) + skip
        return functional.leaky_relu(self.mix(self.smooth(x)))


class ThreeLevelNetwork(RenamedNetwork):
    """Details of stacked guide and lms over three scales; subclasses register the five `blocks`."""

    renames: ClassVar[Renames] = (
        (r"^head\.", "head_conv."),
        (r"^tail\.", "tail_conv."),
        *((rf"^blocks\.{i}\.", f"rb{i + 1}.") for i in range(5)),
        *((rf"^{part}\.{i}\.", f"{part}{i + 1}.") for part in ("down", "up") for i in range(2)),
        (r"\.halve\.", ".conv.0."),
        (r"^(down\d)\.smooth\.", r"\1.conv.2."),
        (r"\.widen\.", ".conv.3."),
        (r"\.enlarge\.", ".conv1."),
        (r"^(up\d)\.smooth\.", r"\1.conv2.0."),
        (r"\.mix\.", ".conv2.1."),
    )
    blocks: nn.ModuleList

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.head = convolution(sensor.count + guide_bands, WIDTH)
        self.down = nn.ModuleList([Down(WIDTH), Down(2 * WIDTH)])
        self.up = nn.ModuleList([Up(4 * WIDTH), Up(2 * WIDTH)])
        self.tail = convolution(WIDTH, sensor.count)

    def details(self, lms: Tensor, guide: Tensor, run: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Details (B, C, H, W); `run` applies block number 0 to 4. Other sizes than multiples of 4 are padded and cropped."""
        height, width = lms.shape[-2:]
        stack = functional.pad(torch.cat([guide, lms], 1), (0, -width % STEP, 0, -height % STEP), mode="replicate")
        first = run(0, self.head(stack))
        second = run(1, self.down[0](first))
        third = run(2, self.down[1](second))
        fourth = run(3, self.up[0](third, second))
        return self.tail(run(4, self.up[1](fourth, first)))[..., :height, :width]
