"""Indusion: induction scaling (Khan, Chanussot, Condat, Montanvert, IEEE GRSL 5(1), 2008)."""

from functools import lru_cache

import torch
from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.injection import limited, unless
from waldbench.imaging.operators import AxisOperator, separable
from waldbench.imaging.resampling import interp23
from waldbench.imaging.statistics import divide, std
from waldbench.imaging.strips import height
from waldbench.methods.base import Method, register

# Low-pass filters of the biorthogonal 9/7 pair (Cohen, Daubechies, Feauveau, 1992): offsets 0, 1, 2 ...
REDUCE = (0.602949018236360, 0.266864118442875, -0.078223266528990, -0.016864118442875, 0.026748757410810)
EXPAND = (1.115087052457000, 0.591271763114250, -0.057543526228500, -0.091271763114250)


@register(
    tasks={"ms", "hs"},
    year=2008,
    paper="Khan, Chanussot, Condat, Montanvert, IEEE GRSL 5(1):98-102",
    doi="10.1109/LGRS.2007.909934",
    faithful="induction of bands and guide with the 9/7 pair; guide matched to every band, its details added with unit gain",
    inferred=(
        "the guide is matched by mean and standard deviation at the low resolution",
        "circular borders and 23-tap interpolation",
        "a flat band, or a guide whose low-pass is flat, is left as interpolated",
        "no value leaves the range of the inputs by more than its width",
    ),
)
class Indusion(Method):
    """Bands enlarged so that reducing them gives them back, plus what the guide loses when it is reduced and enlarged so."""

    margin = 20

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """Every step doubles the size."""
        if sensor.ratio not in (2, 4, 8):
            return f"indusion is defined for ratios 2, 4 and 8, not {sensor.ratio}: each step of its filters doubles the size"
        return None

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        low = _reduce(guide, self.ratio)
        gains = divide(std(ms), std(low))
        fused = self._induce(ms) + gains * (guide - self._induce(low))
        return unless(gains == 0, limited(fused, ms, guide), lms)

    def _induce(self, low: Tensor) -> Tensor:
        """The image nearest to the interpolated one among those that are reduced to `low`."""
        smooth = interp23(low, self.ratio)
        return smooth + _expand(low - _reduce(smooth, self.ratio), self.ratio)


def _reduce(x: Tensor, ratio: int) -> Tensor:
    """Low-pass and halve until `ratio` pixels have become one, with the field's sampling phase."""
    while ratio > 1:
        ratio //= 2
        offset = int(ratio == 1)
        x = separable(x, _halve(height(x), offset), _halve(x.shape[-1], offset))
    return x


def _expand(x: Tensor, ratio: int) -> Tensor:
    """The dual of `_reduce`: reducing an expanded image gives it back."""
    offset = 1
    while ratio > 1:
        x = separable(x, _double(height(x), offset), _double(x.shape[-1], offset))
        ratio, offset = ratio // 2, 0
    return x


@lru_cache(maxsize=64)
def _halve(size: int, offset: int) -> AxisOperator:
    taps = torch.tensor(REDUCE[:0:-1] + REDUCE, dtype=torch.float64)
    starts = 2 * torch.arange(size // 2) + offset - len(REDUCE) + 1
    return AxisOperator(starts, taps.expand(len(starts), -1), size, "circular")


@lru_cache(maxsize=64)
def _double(size: int, offset: int) -> AxisOperator:
    taps = torch.tensor(EXPAND[:0:-1] + EXPAND, dtype=torch.float64)
    reach = len(EXPAND) - 1
    place = torch.arange(2 * size) - offset
    starts = torch.div(place - reach + 1, 2, rounding_mode="floor")
    distance = place[:, None] - 2 * (starts[:, None] + torch.arange(reach + 2))
    weights = torch.where(distance.abs() <= reach, taps[(distance + reach).clamp(0, 2 * reach)], 0.0)
    return AxisOperator(starts, weights, size, "circular")
