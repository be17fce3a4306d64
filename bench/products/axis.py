"""One axis of the grid on which a product is fused: where its samples lie on MS and on PAN.

Methods work by the field's convention: low-resolution sample k on high-resolution sample ratio * k + ratio // 2. Where MS lies
otherwise (georeferenced images have pixel centres, ratio * k + (ratio - 1) / 2), both what methods take as MS and its
interpolation are resampled to where they belong. Beyond its edges an image goes on mirrored.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import torch
from torch import Tensor

from waldbench.datasets.grid import Axis
from waldbench.imaging.operators import AxisOperator, fold
from waldbench.imaging.resampling import cubic, interpolator

# Low-resolution samples to each side that the 23-tap interpolation reaches.
REACH = 12
# Those that mirrored surroundings need so that no circular border of a method is seen: twice the 23 taps, at both scales.
PAD = 9


def axis_of(said: Axis, ratio: int, phase: str) -> Axis:
    """How MS lies on PAN under a phase: "centre" as it is said, "wald" with MS on PAN sample ratio // 2 of its block."""
    if phase == "wald":
        return Axis(said.scale, said.offset + ratio // 2 - (ratio - 1) / 2)
    return said


class WorkingAxis:
    """Samples of the working grid along one axis, numbered from 0 with `pad` mirrored low-resolution samples at both ends.

    Args:
        axis: how MS lies on the window of PAN.
        low: samples of MS.
        first: first sample of the window of PAN.
        high: samples of that window.
        ratio: integer resolution ratio.
        pad: low-resolution samples of mirrored surroundings at both ends.
    """

    def __init__(self, axis: Axis, low: int, first: int, high: int, ratio: int, pad: int) -> None:
        self.axis, self.low, self.first, self.high, self.ratio, self.pad = axis, low, first, high, ratio, pad
        self.count = 2 * pad + ceil(high / ratio)
        fine = torch.arange(-pad * ratio, (self.count - pad) * ratio)
        # Which sample of the window stands at every sample of the working guide.
        self.guide = fold(fine, high, "symmetric")
        coarse = ratio * (torch.arange(self.count) - pad) + ratio // 2
        self.upward = _upward(axis, ratio, self.guide, low)
        self.resampled = _cubic(axis, fold(coarse, high, "symmetric"), low)

    def under(self) -> Tensor:
        """For every sample of the window of PAN the MS sample under it."""
        return ((torch.arange(self.high) - self.axis.offset) / self.axis.scale).round().long().clamp(0, self.low - 1)

    def needed(self, first: int, count: int) -> tuple[int, int]:
        """First and last + 1 of the MS samples on which so many low-resolution samples, and all above them, depend."""
        spans = (
            self.upward.span(first * self.ratio, count * self.ratio),
            self.resampled.span(first, count),
        )
        return min(span[0] for span in spans), max(span[1] for span in spans)

    def window(self, first: int, count: int) -> Tensor:
        """Samples of the window of PAN that stand above so many low-resolution samples."""
        return self.guide[first * self.ratio : (first + count) * self.ratio]

    def kept(self, first: int, count: int) -> tuple[int, int, int]:
        """Of so many low-resolution samples: first and last + 1 above them that lie in the window, and where in it they begin."""
        start = (first - self.pad) * self.ratio
        low, end = max(0, -start), min(count * self.ratio, self.high - start)
        return low, max(end, low), start + low


class Taps:
    """A linear operator from MS to samples of the working grid, and which MS samples each needs."""

    def __init__(self, starts: Tensor, weights: Tensor, low: int) -> None:
        self.low = low
        self.operator = AxisOperator(starts, weights, low, "symmetric")
        index = fold(starts[:, None] + torch.arange(weights.shape[1]), low, "symmetric")
        used = weights != 0
        self.begin = torch.where(used, index, low).amin(1)
        self.end = torch.where(used, index, -1).amax(1) + 1
        # Samples that are those of MS themselves need no arithmetic.
        alone = bool((used.sum(1) == 1).all()) and bool((weights.sum(1) == 1).all())
        self.copies = index[used] if alone else None

    def span(self, first: int, count: int) -> tuple[int, int]:
        """First and last + 1 of the MS samples that these samples need."""
        return int(self.begin[first : first + count].min()), int(self.end[first : first + count].max())

    def down(self, x: Tensor, origin: int, first: int, count: int) -> Tensor:
        """Make samples from rows of MS that begin at row `origin`."""
        if self.copies is not None:
            return x[..., self.copies[first : first + count] - origin, :]
        return self.operator.rows_between(x, origin, (first, count))

    def across(self, x: Tensor, origin: int, first: int, count: int) -> Tensor:
        """Make samples from columns of MS that begin at column `origin`."""
        if self.copies is not None:
            return x[..., self.copies[first : first + count] - origin]
        if origin == 0 and x.shape[-1] == self.low and count == self.operator.length:
            return self.operator.along_columns(x)
        return self.operator.rows_between(x.mT.contiguous(), origin, (first, count)).mT


def is_wald(axis: Axis, ratio: int) -> bool:
    """Whether MS lies so that the 23-tap interpolation fits: a whole number of PAN samples off the field's phase."""
    return axis.scale == ratio and (axis.offset - ratio // 2) == round(axis.offset - ratio // 2)


def _upward(axis: Axis, ratio: int, place: Tensor, low: int) -> Taps:
    """Interpolation to PAN samples `place`: 23 taps where they fit, else cubic convolution."""
    if not is_wald(axis, ratio):
        return _cubic(axis, place, low)
    moved = place - round(axis.offset - ratio // 2)
    block = torch.div(moved, ratio, rounding_mode="floor")
    return Taps(block - REACH, _phases(ratio)[moved - block * ratio], low)


def _cubic(axis: Axis, place: Tensor, low: int) -> Taps:
    """Keys' cubic convolution at PAN samples `place`; MS samples themselves where it falls on them."""
    position = (place.double() - axis.offset) / axis.scale
    # A millionth of a sample is rounding of a geotransform.
    position = torch.where((position - position.round()).abs() < 1e-6, position.round(), position)
    starts = position.floor().long() - 1
    return Taps(starts, cubic(position[:, None] - (starts[:, None] + torch.arange(4))), low)


@lru_cache(maxsize=16)
def _phases(ratio: int) -> Tensor:
    """Weights (ratio, 2 * REACH + 1) of the MS samples around a block for each of its samples."""
    size = 2 * REACH + 1
    response = interpolator(size, ratio).along_columns(torch.eye(size, dtype=torch.float64))
    return response[:, REACH * ratio : (REACH + 1) * ratio].T.contiguous()
