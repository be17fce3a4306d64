"""Mean fill: cloudy pixels take the mean of the clear ones (clouds after Schmitt et al., ISPRS Annals IV-2/W7, 2019)."""

from torch import Tensor
from typing_extensions import override

from waldbench.imaging import Sensor
from waldbench.imaging.statistics import divide
from waldbench.methods.base import Method, register
from waldbench.methods.cloud_filling._clouds import clear_pixels, unfit


@register(
    tasks={"sar"},
    title="Mean fill",
    year=2019,
    paper="clouds: Schmitt, Hughes, Qiu, Zhu, ISPRS Annals IV-2/W7:145-152",
    doi="10.5194/isprs-annals-IV-2-W7-145-2019",
    faithful="cloud score from band thresholds and ratios, threshold 0.2",
    inferred=(
        "filling by the image's own mean is a baseline of our own: the guide is not used",
        "shadows are left; the score is smoothed over 7 pixels without a morphological closing",
        "an image with less than 1 % clear pixels stays as it is",
    ),
)
class MeanFill(Method):
    """What statistics of the clear pixels are worth without any guide.

    Args:
        options: sensor and guide_bands, as in `Method`.
    """

    @classmethod
    @override
    def supports(cls, sensor: Sensor, task: str) -> str | None:
        """None if ms and guide have one resolution and ms the visible bands, which the cloud score needs; else the reason."""
        return unfit("mean-fill", sensor)

    @override
    def forward(self, ms: Tensor, lms: Tensor, guide: Tensor) -> Tensor:
        clear = clear_pixels(lms, self.sensor)
        mean = divide((lms * clear).sum((2, 3), keepdim=True), clear.sum((2, 3), keepdim=True).expand(-1, lms.shape[1], -1, -1))
        return lms * clear + mean * (1 - clear)
