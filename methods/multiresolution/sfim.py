"""SFIM: smoothing-filter-based intensity modulation (Liu, IJRS 21(18), 2000)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import box
from waldbench.imaging.statistics import EPS, match_moments
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=2000,
    paper="Liu, International Journal of Remote Sensing 21(18):3461-3472",
    doi="10.1080/014311600750037499",
    faithful="box filter of ratio + 1 pixels a side; the guide is not equalised unless match=True",
    inferred=("an odd ratio takes a box of ratio pixels, so that it stays centred",),
)
class SFIM(Method):
    """Injection by multiplication: every band times the guide over its box-filtered self.

    Args:
        match: bring the guide to mean and standard deviation of each band.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 2

    def __init__(self, *, match: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.match = match
        self.size = self.ratio // 2 * 2 + 1

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        if self.match:
            guide = match_moments(guide, like=lms)
        return lms * (guide / (box(guide, self.size) + EPS))
