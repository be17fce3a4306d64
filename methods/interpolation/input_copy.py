"""Input copy: the cloudy or interpolated image unchanged, the baseline that every method must beat."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.methods.base import Method, nothing_to_fill, register


@register(
    tasks={"sar"},
    title="Input copy",
    year=2020,
    paper="the cloudy image itself; a row of the tables since Meraner, Ebel, Zhu, Schmitt, ISPRS Journal 166, 2020",
    doi="10.1016/j.isprsjprs.2020.05.013",
    faithful="nothing is done",
)
class InputCopy(Method):
    """What remains to be done: the image without any use of the guide.

    Args:
        options: sensor and guide_bands, as in `Method`.
    """

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None if ms and guide have one resolution, else the reason why not: there, `exp` is the baseline."""
        return nothing_to_fill("input-copy", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        return lms.clone()
