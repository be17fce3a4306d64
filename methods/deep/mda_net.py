"""MDA-Net: three streams of wide dense blocks that dual attention joins in three stages (Guan, Lam, IEEE TGRS 60, 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._blocks import bicubic
from waldbench.methods.deep._large import LargeNetwork
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

WIDTH, GROWTH, DENSE, STAGES, STREAMS = 64, 32, 4, 3, 3
WIDE = (5, 7, 9)
# Two strides of 4 in the gate of the channels.
STEP = 16
# A fourth attention is registered in the released network and never used.
NEVER_CALLED = ("da4.",)


class WideDenseBlock(nn.Module):
    """Four dense layers and three wide kernels side by side, joined by a 1x1 convolution and added to the input."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.ModuleList(convolution(WIDTH + GROWTH * i, GROWTH) for i in range(DENSE))
        self.wide = nn.ModuleList(convolution(WIDTH, WIDTH, size) for size in WIDE)
        self.join = nn.Conv2d(WIDTH + GROWTH * DENSE + WIDTH * len(WIDE), WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 64, H, W) to the same shape."""
        stack = x
        for layer in self.dense:
            stack = torch.cat([stack, layer(stack).relu()], 1)
        joined: Tensor = self.join(torch.cat([stack, *(functional.leaky_relu(layer(x)) for layer in self.wide)], 1))
        return joined + x


class ActivatedResidual(nn.Module):
    """The sum x + conv(ReLU(conv(ReLU(x)))), 3x3."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = convolution(WIDTH, WIDTH), convolution(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 64, H, W) to the same shape."""
        return x + self.second(self.first(x.relu()).relu())


class DualAttention(nn.Module):
    """Join three streams: the first gated by channel and the last by pixel, each as the middle one and itself suggest."""

    def __init__(self) -> None:
        super().__init__()
        quarters = [part for _ in range(2) for part in (ActivatedResidual(), nn.Conv2d(WIDTH, WIDTH, 4, stride=4))]
        self.channels = nn.Sequential(convolution(2 * WIDTH, WIDTH), *quarters)
        places = (ActivatedResidual(), ActivatedResidual(), convolution(WIDTH, WIDTH), nn.ReLU(), convolution(WIDTH, WIDTH))
        self.places = nn.Sequential(convolution(2 * WIDTH, WIDTH), *places)
        self.first, self.second = convolution(3 * WIDTH, WIDTH), convolution(WIDTH, WIDTH)

    def forward(self, guide: Tensor, joint: Tensor, image: Tensor) -> Tensor:
        """Map three streams (B, 64, H, W), H and W multiples of 16, to one of that shape."""
        by_channel = guide * self.channels(torch.cat([joint, guide], 1)).mean((2, 3), keepdim=True).sigmoid()
        by_place = image * self.places(torch.cat([joint, image], 1)).sigmoid()
        joined: Tensor = self.second(functional.leaky_relu(self.first(torch.cat([by_channel, joint, by_place], 1))))
        return joined


def _stem(inputs: int) -> nn.Sequential:
    return nn.Sequential(convolution(inputs, WIDTH), nn.ReLU(), convolution(WIDTH, WIDTH))


def _official() -> dict[str, str]:
    names = {f"stems.{s}.{layer}": f"conv{s + 1}_1.{layer}" for s in range(STREAMS) for layer in (0, 2)} | {"tail": "conv2"}
    blocks = {f"streams.{STREAMS * i + s}": f"branch{s + 1}_{i + 1}.0" for i in range(STAGES) for s in range(STREAMS)}
    for own, theirs in (blocks | {f"last.{i}": f"branch_out_{i + 1}" for i in range(2)}).items():
        names |= {f"{own}.dense.{i}": f"{theirs}.dense_layers.{i}.conv" for i in range(DENSE)}
        names |= {f"{own}.wide.{i}": f"{theirs}.conv{size}" for i, size in enumerate(WIDE)}
        names[f"{own}.join"] = f"{theirs}.conv_1x1"
    for i in range(STAGES):
        names |= {f"attention.{i}.first": f"da{i + 1}.conv", f"attention.{i}.second": f"da{i + 1}.conv2"}
        for gate, name, plain, residual in (("channels", "spe", (0, 2, 4), (1, 3)), ("places", "spa", (0, 3, 5), (1, 2))):
            own, theirs = f"attention.{i}.{gate}", f"da{i + 1}.{name}_att.trunk"
            names |= {f"{own}.{layer}": f"{theirs}.{layer}" for layer in plain}
            names |= {f"{own}.{layer}.first": f"{theirs}.{layer}.layers.1" for layer in residual}
            names |= {f"{own}.{layer}.second": f"{theirs}.{layer}.layers.3" for layer in residual}
    return names


@register(
    tasks={"hs", "ms"},
    title="MDA-Net",
    year=2022,
    paper="Guan, Lam, IEEE TGRS 60, 2022",
    doi="10.1109/TGRS.2021.3114552",
    licence="Apache-2.0 (CF2N's copy); written from a fact sheet, not from that code",
    faithful="equal to the CF2N repository's copy with weights given by a formula, less a fourth attention that it never uses",
    inferred=(
        "sizes that are no multiple of 16: replicated at the lower and right border, then cropped",
        "several guide bands: stacked",
    ),
)
class MDANet(LargeNetwork):
    """Streams of the guide, the bicubic image and both; after every stage attention gathers them in the last one.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
    """

    official: ClassVar = _official()
    cost_256 = "694 billion products and 0.5 GiB"

    recipe = Recipe(
        "l1",
        1e-4,
        16,
        500,
        schedule="every",
        gamma=0.9**0.1,
        notes=("the learning rate falls by 0.9 over ten epochs", "the number of epochs is not stated; 500 are taken"),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        inputs = (guide_bands, sensor.count, sensor.count + guide_bands)
        self.stems = nn.ModuleList(_stem(bands) for bands in inputs)
        self.streams = nn.ModuleList(WideDenseBlock() for _ in range(STAGES * STREAMS))
        self.attention = nn.ModuleList(DualAttention() for _ in range(STAGES))
        self.last = nn.Sequential(WideDenseBlock(), WideDenseBlock())
        self.tail = convolution(WIDTH, sensor.count)

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Load a released state dictionary, less what its network never uses."""
        super().load_official({name: value for name, value in state.items() if not name.startswith(NEVER_CALLED)})

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the details of three stages to the bicubic image."""
        height, width = guide.shape[-2:]
        image = bicubic(ms, (height, width))
        border = (0, -width % STEP, 0, -height % STEP)
        wide = functional.pad(torch.cat([guide, image, guide], 1), border, mode="replicate")
        bands = (slice(None, self.guide_bands), slice(self.guide_bands, -self.guide_bands), slice(self.guide_bands, None))
        maps = [stem(fast_layout(wide[:, part])) for stem, part in zip(self.stems, bands, strict=True)]
        for stage, attend in enumerate(self.attention):
            maps = [self.streams[STREAMS * stage + s](x) for s, x in enumerate(maps)]
            maps[2] = attend(maps[0], maps[2], maps[1])
        return image + self.tail(self.last(maps[2]))[..., :height, :width]
