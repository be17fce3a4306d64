"""MF: half-gradient morphological pyramid (Restaino, Vivone, Dalla Mura, Chanussot, IEEE TIP 25(6), 2016)."""

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.resampling import imresize
from waldbench.imaging.statistics import EPS, divide, mean, std, zero_mean
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2016,
    paper="Restaino, Vivone, Dalla Mura, Chanussot, IEEE TIP 25(6):2882-2895",
    doi="10.1109/TIP.2016.2556944",
    faithful="as in the reference toolbox: flat five-pixel cross, high-pass modulation",
)
class MF(Method):
    """High-pass modulation whose low-pass is a morphological pyramid: mean of dilation and erosion at every level."""

    needs_whole = "its morphological filters treat the border of an image apart"

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """The pyramid halves the image once or twice."""
        if sensor.ratio not in (2, 4):
            return f"mf is defined for ratios 2 and 4, not {sensor.ratio}: its pyramid halves the image once or twice"
        return None

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        # The pyramid commutes with scaling and shifting, so one serves every equalised guide.
        gains, level = divide(std(lms), std(guide)), mean(lms)
        guide = zero_mean(guide)
        return lms * (gains * guide + level) / (gains * self._pyramid(guide) + level + EPS)

    def _pyramid(self, x: Tensor) -> Tensor:
        levels = self.ratio // 2
        for number in range(levels):
            start = 1 if number == 0 else 0
            x = _half_gradient(x)[..., start::2, start::2]
        for _ in range(levels):
            x = imresize(x, 2, "linear")
        return x


def _half_gradient(x: Tensor) -> Tensor:
    """Mean of dilation and erosion by the five-pixel cross; pixels outside the image are ignored."""
    edge = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    sides = (edge[..., 1:-1, :-2], edge[..., 1:-1, 2:], edge[..., :-2, 1:-1], edge[..., 2:, 1:-1])
    high = low = x
    for side in sides:
        high, low = torch.maximum(high, side), torch.minimum(low, side)
    return (high + low) / 2
