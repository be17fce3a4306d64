"""Bicubic: cubic convolution of the low-resolution image (Keys, IEEE TASSP 29(6), 1981)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.operators import separable
from waldbench.imaging.resampling import cubic_interpolator
from waldbench.imaging.strips import height
from waldbench.methods.base import Method, nothing_to_sharpen, register


@register(
    tasks={"ms", "hs", "sar"},
    year=1981,
    paper="Keys, IEEE Transactions on Acoustics, Speech, and Signal Processing 29(6):1153-1160",
    doi="10.1109/TASSP.1981.1163711",
    faithful="a = -1/2; low-resolution pixel k lies on pixel ratio * k + ratio // 2, as in the test data: no shift",
    inferred=("symmetric borders",),
)
class Bicubic(Method):
    """No fusion at all: the low-resolution image, interpolated with Keys' kernel."""

    margin = 3

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        return nothing_to_sharpen("bicubic", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        return separable(ms, cubic_interpolator(height(ms), self.ratio), cubic_interpolator(ms.shape[-1], self.ratio))
