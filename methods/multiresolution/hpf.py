"""HPF: high-pass filtering (Chavez, Sides, Anderson, PE&RS 57(3), 1991)."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from waldbench.imaging.filters import box
from waldbench.imaging.injection import unless
from waldbench.imaging.statistics import divide, flat_guide, std
from waldbench.methods.base import Method, register


@register(
    tasks={"ms", "hs"},
    year=1991,
    paper="Chavez, Sides, Anderson, Photogrammetric Engineering and Remote Sensing 57(3):295-303",
    faithful="box filter of ratio + 1 pixels a side; the guide is not equalised unless match=True",
    inferred=(
        "an odd ratio takes a box of ratio pixels, so that it stays centred",
        "a flat guide has nothing to inject: the interpolated image is returned",
    ),
)
class HPF(Method):
    """Injection by addition: every band plus the guide minus its box-filtered self.

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
        detail = guide - box(guide, self.size)
        return unless(flat_guide(guide), lms + (divide(std(lms), std(guide)) * detail if self.match else detail), lms)
