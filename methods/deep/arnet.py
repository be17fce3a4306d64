"""ARNet: convolutions that sample a rectangle of learned height and width, ARConv (Wang, Zheng, Shao, Duan, Deng, CVPR 2025)."""

from __future__ import annotations

from itertools import product
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from waldbench.imaging import Sensor
from waldbench.methods.base import register
from waldbench.methods.deep._layers import convolution
from waldbench.methods.deep._naming import Renames
from waldbench.methods.deep._parts import in_parts, rows_per_part
from waldbench.methods.deep._three_levels import WIDTHS, ThreeLevelNetwork
from waldbench.methods.recipes import Recipe

# Rows and columns of the nine kernels of a layer, in the order of the released weight files.
SHAPES = ((3, 3), (3, 5), (5, 3), (3, 7), (7, 3), (5, 5), (5, 7), (7, 5), (7, 7))
DROP = 0.3
# Epochs of the published training in which every batch chooses the shapes; later they stay.
FREE_EPOCHS = 100


def modulation(channels: int, *last: nn.Module) -> nn.Sequential:
    """Three 3x3 convolutions with LReLU and dropped channels between them."""
    step = [convolution(channels, channels), nn.LeakyReLU(), nn.Dropout2d(DROP)]
    again = [convolution(channels, channels), nn.LeakyReLU(), nn.Dropout2d(DROP)]
    return nn.Sequential(*step, *again, convolution(channels, channels), *last)


def normalised(inputs: int, outputs: int, size: int = 3) -> list[nn.Module]:
    """A convolution and batch normalisation."""
    return [convolution(inputs, outputs, size), nn.BatchNorm2d(outputs)]


def extent(channels: int) -> nn.Sequential:
    """A share in (0, 1) of the largest height or width of the rectangle at every pixel."""
    return nn.Sequential(*normalised(channels, 1), nn.LeakyReLU(), *normalised(1, 1, 1), nn.Sigmoid())


class RectangleConvolution(nn.Module):
    """A convolution whose taps spread evenly over a rectangle of its own height and width around every pixel.

    How many taps there are is chosen from the mean height and width of a batch; in training the choice is kept for evaluation.
    """

    def __init__(self, channels: int, reach: int) -> None:
        super().__init__()
        self.reach = reach
        self.kernels = nn.ModuleList(nn.Conv2d(channels, channels, shape) for shape in SHAPES)
        self.gain = modulation(channels, nn.Tanh())
        self.offset = modulation(channels)
        activated = [*normalised(channels, channels), nn.LeakyReLU(), *normalised(channels, channels), nn.LeakyReLU()]
        self.features = nn.Sequential(*activated)
        self.height, self.width = extent(channels), extent(channels)
        self.drop = nn.Dropout2d(DROP)
        # A parameter as in the release, though nothing trains it: rows and columns of taps, 0 before the first choice.
        self.shape = nn.Parameter(torch.zeros(2, dtype=torch.long), requires_grad=False)

    def forward(self, x: Tensor, choose: bool) -> Tensor:
        """Map x (B, C, H, W) to the same shape; `choose` new shapes, or keep those of before if there are any."""
        features = self.features(100 * x)
        exact = torch.promote_types(x.dtype, torch.float32)
        sides = [head(features)[:, 0].to(exact) * (self.reach - 1) + 1 for head in (self.height, self.width)]
        kernel: Any = self.kernels[SHAPES.index(self._taps(sides, choose))]
        # The same channels are dropped in all samples of an image.
        wide = functional.pad(self.drop(x).permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(1, 2)
        weight = kernel.weight.permute(2, 3, 1, 0)
        rows = rows_per_part(weight[..., 0].numel() * x.shape[3], x.device)
        lines = torch.arange(x.shape[2], device=x.device)
        parts = [
            (image, line, high, broad, weight)
            for image, *two in zip(wide, *sides, strict=True)
            for line, high, broad in zip(lines.split(rows), *(side.split(rows) for side in two), strict=True)
        ]
        sampled = torch.cat(in_parts(_contract, parts)) + kernel.bias
        return self.gain(x) * sampled.view(*x[:, 0].shape, -1).permute(0, 3, 1, 2) + self.offset(x)

    def _taps(self, sides: list[Tensor], choose: bool) -> tuple[int, int]:
        """Rows and columns of taps: 3, 5 or 7."""
        if choose or not self.shape.any():
            unit = max(self.reach // 9, 1)
            counts = [int(side.mean() / unit) for side in sides]
            found = [min(max(count - 1 + count % 2, 3), 7) for count in counts]
            if choose:
                self.shape.copy_(torch.tensor(found))
        else:
            found = self.shape.tolist()
        return found[0], found[1]


def _contract(table: Tensor, lines: Tensor, heights: Tensor, widths: Tensor, weight: Tensor) -> Tensor:
    """Rows (h, W, O) of an image from its pixels with a border of zeros, ((H + 2) (W + 2), C), row by row.

    `lines` (h,) are numbers of rows, `heights` and `widths` (h, W) those of the rectangles, `weight` is (rows, columns, C, O).
    """
    pitch = heights.shape[1] + 2
    columns = torch.arange(pitch - 2, device=table.device)
    down = _corners(lines[:, None], heights, weight.shape[0], len(table) // pitch)
    right = _corners(columns, widths, weight.shape[1], pitch)
    samples: Tensor | None = None
    for (row, share), (column, part) in product(down, right):
        corner = functional.embedding(row[..., None] * pitch + column[:, :, None], table)
        corner = corner * (share[..., None] * part[:, :, None])[..., None].to(table)
        samples = corner if samples is None else samples + corner
    assert samples is not None
    return samples.flatten(2) @ weight.flatten(0, 2)


def _corners(positions: Tensor, lengths: Tensor, count: int, limit: int) -> list[tuple[Tensor, Tensor]]:
    """The two neighbours (h, W, count) of every tap along one axis of the padded image, and what each counts for."""
    steps = (torch.arange(count, device=lengths.device) - count // 2) / count
    place = (positions + 1)[..., None] + steps.to(lengths) * lengths[..., None]
    before = place.detach().floor()
    place, lower, upper = (x.clamp(0, limit - 1) for x in (place, before, before + 1))
    return [(lower.long(), 1 + lower - place), (upper.long(), 1 - upper + place)]


class RectangleResidualBlock(nn.Module):
    """x + layer(ReLU(layer(x)))."""

    def __init__(self, channels: int, reach: int) -> None:
        super().__init__()
        self.first = RectangleConvolution(channels, reach)
        self.second = RectangleConvolution(channels, reach)

    def forward(self, x: Tensor, choose: bool) -> Tensor:
        """Map x (B, C, H, W) to the same shape; `choose` as in the layers."""
        return x + self.second(self.first(x, choose).relu(), choose)


@register(
    tasks={"ms", "hs"},
    title="ARNet",
    year=2025,
    paper="Wang, Zheng, Shao, Duan, Deng, CVPR 2025; arXiv:2503.00467",
    licence="GPL-3.0 (WangXueyang-uestc/ARConv); written from a fact sheet, not from that code",
    faithful="equal to the released network on shared weights given by a formula, at two ranges and for given kernel shapes; "
    "eight of the nine kernels of a layer are registered and not used",
    inferred=(
        "evaluation takes the kernel shapes of the last training step, as the release does after epoch 100; before, the release "
        "chooses them from the test images. Without any training they are chosen from the images at hand",
        "the release damps the gradients of the heads that find height and width by hooks: not done here",
        "the released heads for features, height and width have a place for one more layer without weights: nothing is put there",
        "sides that are no multiple of 4: replicated at the lower and right border, then cropped",
        "guide of several bands: all are stacked with lms",
    ),
)
class ARNet(ThreeLevelNetwork):
    """lms plus details from five residual blocks whose kernels spread over rectangles of learned size.

    Args:
        sensor: sensor of the images.
        guide_bands: channels of the guide.
        reach: largest height and width of the rectangles in pixels (published: 18; 9 with the same weights is another network).
    """

    recipe = Recipe(
        "l1",
        6e-4,
        16,
        600,
        schedule="every",
        every=200,
        gamma=0.8,
        notes=("published for WV3; GF2 takes 630 epochs, QB 200",),
    )
    renames: ClassVar[Renames] = (
        *ThreeLevelNetwork.renames,
        (r"\.first\.", ".conv1."),
        (r"\.second\.", ".conv2."),
        (r"\.shape$", ".reserved_NXY"),
        (r"\.kernels\.", ".convs."),
        (r"\.gain\.", ".m_conv."),
        (r"\.offset\.", ".b_conv."),
        (r"\.features\.", ".p_conv."),
        (r"\.height\.", ".l_conv."),
        (r"\.width\.", ".w_conv."),
        *((rf"\.([plw])_conv\.{ours}\.", rf".\1_conv.{ours + 1}.") for ours in (4, 3)),
    )

    # One kernel of several is chosen by the image; the others wait for images with other rectangles.
    idle = tuple(f"blocks.{number}.{layer}.kernels." for number in range(len(WIDTHS)) for layer in ("first", "second"))

    def __init__(self, *, sensor: Sensor, guide_bands: int = 1, reach: int = 18) -> None:
        if reach < 3:
            raise ValueError(f"reach: expected at least 3 pixels, got {reach}")
        super().__init__(sensor=sensor, guide_bands=guide_bands)
        self.blocks = nn.ModuleList(RectangleResidualBlock(channels, reach) for channels in WIDTHS)
        self.keep_shapes = False

    def published_loss(self, ms: Tensor, lms: Tensor, guide: Tensor, gt: Tensor, epoch: int) -> Tensor:
        """Mean absolute error; from epoch 100 on the shapes of the kernels stay."""
        self.keep_shapes = epoch >= FREE_EPOCHS
        return super().published_loss(ms, lms, guide, gt, epoch)

    def fuse(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        """Add the details to lms."""
        choose = self.training and not self.keep_shapes
        return lms + self.details(lms, guide, lambda number, x: self.blocks[number](x, choose))
