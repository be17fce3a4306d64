"""EXP: the interpolated low-resolution image, which every fusion must beat (Aiazzi et al., IEEE TGRS 40(10), 2002)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.methods.base import Method, nothing_to_sharpen, register


@register(
    tasks={"ms", "hs", "sar"},
    year=2002,
    paper="Aiazzi, Alparone, Baronti, Garzelli, IEEE TGRS 40(10):2300-2312",
    doi="10.1109/TGRS.2002.803623",
    # It compares bands of the fused image with bands of ms, which is where these come from.
    by_construction=("d_lambda",),
    faithful="lms is the 23-tap interpolation, as in the reference toolbox",
)
class EXP(Method):
    """No fusion at all: the interpolated image is returned as it is."""

    margin = 0

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        return nothing_to_sharpen("exp", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        return lms
