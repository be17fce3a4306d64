"""DCFNet: dynamic cross feature fusion between branches of three resolutions (Wu, Huang, Deng, Zhang, ICCV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution, fast_layout
from waldbench.methods.deep._naming import RenamedNetwork, Renames
from waldbench.methods.deep._ratio_four import RatioFourNetwork
from waldbench.methods.recipes import Recipe

STEM, WIDE, WIDTHS = 64, 256, (32, 64, 128)
BLOCKS, BOTTLENECKS = 3, 4
MOMENTUM, SMALL = 0.01, 1e-4


def normalised(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution without bias and batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, momentum=MOMENTUM))


def shares(weights: Tensor) -> Tensor:
    """Positive weights, divided by their sum along the first axis."""
    weights = weights.relu()
    return weights / (weights.sum(0) + SMALL)


def resized(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation of x to the size of another image, corner to corner."""
    return functional.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)


class Residual(nn.Module):
    """ReLU of the sum of the input and some convolutions with ReLU between them."""

    def __init__(self, *layers: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        y = x
        for number, layer in enumerate(self.layers):
            y = layer(y if number == 0 else y.relu())
        return (self.shortcut(x) + y).relu()


def basic_block(width: int) -> Residual:
    """Two 3x3 convolutions."""
    return Residual(normalised(width, width), normalised(width, width))


def bottleneck(inputs: int) -> Residual:
    """1x1 to 64 channels, 3x3, 1x1 to 256."""
    layers = normalised(inputs, STEM, 1), normalised(STEM, STEM), normalised(STEM, WIDE, 1)
    return Residual(*layers, shortcut=None if inputs == WIDE else normalised(inputs, WIDE, 1))


class Inject(nn.Module):
    """Add features of the multispectral image in learned shares, then a residual block."""

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(2))
        self.raise_image = convolution(bands, width, bias=False)
        self.block = basic_block(width)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Map x (B, width, H, W) and the image (B, C, H, W) to the shape of x."""
        own, other = shares(self.weights)
        return self.block((own * x + other * self.raise_image(image)).relu())


class SecondBranch(nn.Module):
    """Start the branch of half resolution."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.down = normalised(WIDE, WIDTHS[1], stride=2)
        self.inject = Inject(bands, WIDTHS[1])

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Map x (B, 256, H, W) and the image at half of that size to (B, 64, H/2, W/2)."""
        return self.inject(self.down(x).relu(), image)


class ThirdBranch(nn.Module):
    """Start the branch of quarter resolution from both others."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.weights = nn.Parameter(torch.ones(2))
        self.fine_down = normalised(fine, middle, stride=2)
        self.down = normalised(middle, coarse, stride=2)
        self.sum_down = normalised(middle, coarse, stride=2)
        self.unused = normalised(coarse, coarse).requires_grad_(False)
        self.inject = Inject(bands, coarse)

    def forward(self, fine: Tensor, middle: Tensor, image: Tensor) -> Tensor:
        """Map (B, 32, H, W), (B, 64, H/2, W/2) and the image at a quarter to (B, 128, H/4, W/4)."""
        own, other = shares(self.weights)
        both = middle + self.fine_down(fine).relu()
        return own * self.down(middle).relu() + other * self.inject(self.sum_down(both).relu(), image)


class Stage(nn.Module):
    """Three residual blocks in every branch, and sums of all branches for every branch."""

    paths: Any

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(basic_block(width) for _ in range(BLOCKS))) for width in widths)
        self.weights = nn.Parameter(torch.ones(len(widths) + 1, len(widths) + 1))
        places = range(len(widths))
        self.paths = nn.ModuleList(nn.ModuleList(_path(widths, j, i) for j in places) for i in places)

    def run(self, branches: list[Tensor]) -> list[Tensor]:
        """The branches after their own blocks."""
        return [blocks(x) for blocks, x in zip(self.branches, branches, strict=True)]

    def exchange(self, branches: list[Tensor]) -> list[Tensor]:
        """The weighted sums of all branches, at the size and width of each."""
        weights = shares(self.weights)
        found = []
        for i, (own, paths) in enumerate(zip(branches, self.paths, strict=True)):
            maps = [path(x) if j <= i else resized(path(x), own) for j, (path, x) in enumerate(zip(paths, branches, strict=True))]
            total = weights[i, 0] * maps[0]
            for j, other in enumerate(maps[1:], 1):
                total = total + weights[i, j] * other
            found.append(total.relu())
        return found


def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From one branch to another: 1x1 (and enlarged elsewhere), nothing, or 3x3 of stride 2 as often as needed."""
    inputs, outputs = widths[source], widths[target]
    if source > target:
        return normalised(inputs, outputs, 1)
    steps = range(target - source)
    chain = [normalised(inputs, outputs if step == steps[-1] else inputs, stride=2) for step in steps]
    for link in chain[:-1]:
        link.append(nn.ReLU())
    return nn.Sequential(*chain)


@register(
    tasks={"ms", "hs"},
    title="DCFNet",
    year=2021,
    paper="Wu, Huang, Deng, Zhang, ICCV 2021",
    licence="GPL (PanCollection); written from a fact sheet, not from that code",
    faithful="equal to the released network (mode C) on shared weights given by a formula; a convolution that it never uses is "
    "registered too (`unused`)",
    inferred=(
        "the released training compares the network alone with the reference, its validation adds lms: here lms is added in both",
        "learning rate, batch and length of the published training are in a file that was not at hand",
        "guide of two bands: all are stacked with lms",
    ),
)
class DCFNet(RatioFourNetwork, RenamedNetwork):
    """Branches of three resolutions, two of them fed with the image of their size, that exchange features twice; plus lms.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        skip: whether lms is added to the network's output.
    """

    recipe = Recipe("mse", 3e-4, 32, 400, notes=("3e-4, 32 and 400 are those of FusionNet in the same toolbox, not DCFNet's",))
    renames: ClassVar[Renames] = (
        *((rf"^stem\.{i}\.{k}\.", f"{kind}{i + 1}.") for i in range(2) for k, kind in enumerate(("conv", "bn"))),
        (r"^bottlenecks\.", "layer1."),
        (r"\.shortcut\.", ".downsample."),
        *((rf"\.layers\.{i}\.{k}\.", f".{kind}{i + 1}.") for i in range(3) for k, kind in enumerate(("conv", "bn"))),
        (r"^fine\.", "transition1.0."),
        (r"^middle\.down\.", "transition1.1.0.0.b0_in_down."),
        (r"^middle\.", "transition1.1.0.0."),
        (r"^coarse\.fine_down\.", "coarse.b0_in_down."),
        (r"^coarse\.down\.", "coarse.b1_in_down."),
        (r"^coarse\.sum_down\.", "coarse.b1_down."),
        (r"^coarse\.unused\.", "coarse.b2_conv_out."),
        (r"^coarse\.", "stage2.0.transition_layers.2.0.0."),
        (r"\.inject\.", ".cfs_layers.0."),
        (r"\.raise_image\.", ".conv_up."),
        (r"\.block\.", ".res_block.0."),
        (r"^early\.", "stage2.0."),
        (r"^late\.", "stage3.0."),
        (r"^(stage\d\.0)\.weights$", r"\1.fcc_w"),
        (r"\.weights$", ".rs_w"),
        (r"\.paths\.", ".fuse_layers."),
        (r"^tail\.", "last_layer."),
    )

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, skip: bool = True) -> None:
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        bands, total = sensor.count, sum(WIDTHS)
        self.skip = skip
        self.stem = nn.ModuleList([normalised(bands + guide_bands, STEM), normalised(STEM, STEM)])
        self.bottlenecks = nn.Sequential(*(bottleneck(WIDE if number else STEM) for number in range(BOTTLENECKS)))
        self.fine, self.middle, self.coarse = normalised(WIDE, WIDTHS[0]), SecondBranch(bands), ThirdBranch(bands)
        self.early, self.late = Stage(WIDTHS[:2]), Stage(WIDTHS)
        join = nn.Conv2d(total, total, 1), nn.BatchNorm2d(total, momentum=MOMENTUM), nn.ReLU()
        self.tail = nn.Sequential(*join, nn.Conv2d(total, bands, 1))

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add lms to the output, or not (`skip`)."""
        ms, lms, guide = (fast_layout(x) for x in (ms, lms, guide))
        details = self.details(ms, torch.cat([guide, lms], 1))
        return lms + details if self.skip else details

    def details(self, ms: Tensor, stack: Tensor) -> Tensor:
        """The network's output (B, C, H, W) for ms (B, C, H/4, W/4) and stacked guide and lms."""
        for layer in self.stem:
            stack = layer(stack).relu()
        x = self.bottlenecks(stack)
        half = functional.interpolate(ms, scale_factor=2.0, mode="bilinear", align_corners=True)
        branches = self.early.run([self.fine(x).relu(), self.middle(x, half)])
        coarse = self.coarse(*branches, ms)
        branches = [*self.early.exchange(branches), coarse]
        fine, *others = self.late.exchange(self.late.run(branches))
        return self.tail(torch.cat([fine, *(resized(other, fine) for other in others)], 1))
