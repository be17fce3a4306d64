"""Brovey: ratio of guide and intensity (Gillespie, Kahle, Walker, RSE 22(3), 1987)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.statistics import EPS, match_moments
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=1987,
    paper="Gillespie, Kahle, Walker, Remote Sensing of Environment 22(3):343-365",
    doi="10.1016/0034-4257(87)90088-5",
    faithful="intensity is the plain mean of all bands; the guide is not equalised unless match=True",
)
class Brovey(Method):
    """Component substitution by multiplication: every band times guide over intensity.

    Args:
        match: first bring the guide to mean and standard deviation of the intensity.
        options: sensor and guide_bands, as in `Method`.
    """

    margin = 0

    def __init__(self, *, match: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.match = match

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        intensity = lms.mean(1, keepdim=True)
        if self.match:
            guide = match_moments(guide, like=intensity)
        return lms * (guide / (intensity + EPS))
