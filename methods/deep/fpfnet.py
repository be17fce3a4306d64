"""FPFNet: a pyramid of the guide going down and one of the image going up, merged (Dong et al., IEEE TNNLS, 2023)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._large import LargeNetwork
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.recipes import Recipe

GUIDE, IMAGE, KERNELS = 192, 256, (3, 5, 7)
# Registered in the released network and used by no path.
NEVER_CALLED = ("blk1.", "conv3.")
Resize = Callable[..., nn.Module]


def _activated(layer: nn.Module, outputs: int) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def _same(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    return _activated(convolution(inputs, outputs, size), outputs)


def _halving(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=bias)


def _doubling(inputs: int, outputs: int, bias: bool = True) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=bias)


class PyramidBlock(nn.Module):
    """Three kernel sizes side by side, joined by a 1x1 convolution and added to the input; then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_same(channels, channels, size) for size in KERNELS)
        self.join = nn.Sequential(nn.Conv2d(len(KERNELS) * channels, channels, 1), nn.BatchNorm2d(channels))
        self.tail = _same(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        joined = self.join(torch.cat([branch(x) for branch in self.branches], 1))
        result: Tensor = self.tail((joined + x).relu())
        return result


class Pyramid(nn.Module):
    """Features of one input at its own scale, at the next and at the one after, each step by the layer `resize`."""

    def __init__(self, head: nn.Module, channels: int, resize: Resize) -> None:
        super().__init__()
        self.head = nn.Sequential(head, PyramidBlock(channels))
        self.near = PyramidBlock(channels)
        self.step = _activated(resize(channels, channels), channels)
        self.far = PyramidBlock(channels)
        self.bring = nn.Sequential(resize(channels, channels, bias=False), nn.BatchNorm2d(channels))
        self.twice = nn.Sequential(*(_activated(resize(channels, channels), channels) for _ in range(2)))
        self.once = _activated(resize(channels, channels), channels)
        self.first = _same(channels, channels)
        self.join = _same(2 * channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at the three scales, the input's first."""
        x = self.head(x)
        near, far = self.near(x), self.far(self.step(x))
        middle = torch.cat([self.bring(near), far], 1).relu()
        return self.first(near), self.join(middle), self.join(torch.cat([self.twice(near), self.once(far)], 1))


def _block_names(own: str, theirs: str) -> dict[str, str]:
    pairs = {f"branches.{i}": f"conv{size}" for i, size in enumerate(KERNELS)} | {"join": "conv1", "tail": "out_conv3"}
    return {f"{own}.{ours}.{part}": f"{theirs}.{name}.{part}" for ours, name in pairs.items() for part in (0, 1)}


def _pyramid_names(own: str, theirs: str, twice: tuple[str, ...], once: int, first: str) -> dict[str, str]:
    names = _block_names(f"{own}.head.1", f"{theirs}.layer1.0")
    names |= _block_names(f"{own}.near", f"{theirs}.stage2.0.branches.0.0")
    names |= _block_names(f"{own}.far", f"{theirs}.stage2.0.branches.1.0")
    pairs = {"step": "transition1.1.0", "bring": "stage2.0.fuse_layers.1.0.0", "once": f"transition2.2.{once}", "join": "conv3"}
    pairs["first"] = first
    names |= {f"{own}.{ours}.{part}": f"{theirs}.{name}.{part}" for ours, name in pairs.items() for part in (0, 1)}
    parts = ("0.0", "0.1", "1.0", "1.1")
    return names | {f"{own}.twice.{ours}": f"{theirs}.transition2.2.{name}" for ours, name in zip(parts, twice, strict=True)}


def _official() -> dict[str, str]:
    names = _pyramid_names("guide", "model1", ("0.0", "0.1", "0.3", "0.4"), 1, "conv3_0")
    names |= _pyramid_names("image", "model2", ("0.0", "0.1", "1.0", "1.1"), 2, "conv3_1")
    names |= {"guide.head.0.0.0": "model1.conv1", "guide.head.0.0.1": "model1.bn1", "guide.head.0.1.0": "model1.conv2"}
    names |= {"guide.head.0.1.1": "model1.bn2", "image.head.0.0": "model2.conv1", "image.head.0.1": "model2.bn1"}
    names |= {f"merge_quarter.{part}": f"conv1.{part}" for part in (0, 1)} | {f"tail.{part}": f"blk2.{part}" for part in (0, 1)}
    for own, theirs in (("merge_half", "conv2"), ("merge_full", "conv4")):
        names |= {f"{own}.{i}.{part}": f"{theirs}.{3 * i + part}" for i in range(2) for part in (0, 1)}
    return names


def _wrong_ratio(sensor: Sensor) -> str | None:
    if sensor.ratio == 4:
        return None
    return f"the pyramids of FPFNet meet at ratio 4; {sensor.title} has ratio {sensor.ratio}"


@register(
    tasks={"hs"},
    title="FPFNet",
    year=2023,
    paper="Dong, Yang, Qu, Li, Yang, Jia, IEEE TNNLS, 2023",
    doi="10.1109/TNNLS.2023.3325887",
    licence="none stated (CF2N's copy: Apache-2.0); written from a fact sheet, not from that code",
    faithful="equal with weights given by a formula to the released network after the one repair without which it stops",
    inferred=(
        "that repair: a normalisation has as many channels as the layer before it",
        "two layers that the released network never uses are left out",
        "several guide bands: stacked",
    ),
)
class FPFNet(LargeNetwork):
    """Two pyramids of blocks with three kernel sizes; the output is an image without skip and without negative values.

    Args:
        sensor: sensor of the images, ratio 4.
        guide_bands: channels of the guide.

    Raises:
        ValueError: for a sensor of another ratio.
    """

    official: ClassVar = _official()
    cost_256 = "1,281 billion products and about 1 GiB"

    recipe = Recipe(
        "l1",
        1e-3,
        8,
        500,
        schedule="every",
        every=200,
        gamma=0.65,
        notes=("the released script counts steps, not epochs, in its schedule, and leaves out the step of the optimiser",),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1) -> None:
        reason = _wrong_ratio(sensor)
        if reason is not None:
            raise ValueError(reason)
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands = sensor.count
        self.guide = Pyramid(nn.Sequential(_same(guide_bands, 64), _same(64, GUIDE)), GUIDE, _halving)
        self.image = Pyramid(_same(bands, IMAGE), IMAGE, _doubling)
        both = GUIDE + IMAGE
        self.merge_quarter = _activated(_doubling(both, IMAGE), IMAGE)
        self.merge_half = nn.Sequential(_activated(_doubling(both + IMAGE, 512), 512), _same(512, IMAGE))
        self.merge_full = nn.Sequential(_same(both + IMAGE, 512), _same(512, IMAGE))
        self.tail = _activated(nn.Conv2d(IMAGE, bands, 1), bands)

    @classmethod
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None for ratio 4 where there is a CUDA device, else the reason why not."""
        return _wrong_ratio(sensor) or super().supports(sensor, task)

    def load_official(self, state: Mapping[str, Tensor]) -> None:
        """Load a released state dictionary, less what its network never uses."""
        super().load_official({name: value for name, value in state.items() if not name.startswith(NEVER_CALLED)})

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Merge the pyramids from the coarsest scale to the finest."""
        fine, medium, coarse = self.guide(fast_layout(guide))
        quarter, half, full = self.image(fast_layout(ms))
        x = self.merge_quarter(torch.cat([coarse, quarter], 1))
        x = self.merge_half(torch.cat([x, medium, half], 1))
        fused: Tensor = self.tail(self.merge_full(torch.cat([x, fine, full], 1)))
        return fused
